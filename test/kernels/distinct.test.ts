import { cases } from "../support/cases.js";
import { testKernel } from "../support/kernel-case.js";

testKernel(cases.distinctBegin);
testKernel(cases.distinctPairs);
testKernel(cases.gatherNew);
testKernel(cases.gatherPairs);
testKernel(cases.scatterPairs);
