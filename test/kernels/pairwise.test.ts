import { cases } from "../support/cases.js";
import { testKernel } from "../support/kernel-case.js";

testKernel(cases.pairwiseForward);
testKernel(cases.pairwiseBackward);
testKernel(cases.pairwiseDropout);
testKernel(cases.pairwiseKeptBackward);
testKernel(cases.pairwiseRecordGradient);
testKernel(cases.linearForward);
