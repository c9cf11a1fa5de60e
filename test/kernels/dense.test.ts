import { cases } from "../support/cases.js";
import { testKernel } from "../support/kernel-case.js";

testKernel(cases.matmul);
testKernel(cases.matmulTransposedA);
testKernel(cases.networkBegin);
testKernel(cases.networkForward);
testKernel(cases.networkStart);
testKernel(cases.networkInputs);
testKernel(cases.networkBackward);
testKernel(cases.networkEnd);
