import { cases } from "../support/cases.js";
import { testKernel } from "../support/kernel-case.js";

testKernel(cases.batchNormStatistics);
testKernel(cases.batchNormMoving);
testKernel(cases.batchNormForward);
testKernel(cases.batchNormBackward);
testKernel(cases.batchNormEnd);
