import { cases } from "../support/cases.js";
import { testKernel } from "../support/kernel-case.js";

testKernel(cases.linkPairs);
testKernel(cases.maskedScores);
testKernel(cases.maskedRowScores);
testKernel(cases.maskedGradients);
testKernel(cases.maskedRowGradients);
