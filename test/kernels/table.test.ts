import { cases } from "../support/cases.js";
import { testKernel } from "../support/kernel-case.js";

testKernel(cases.linearFrom);
testKernel(cases.linearTerms);
testKernel(cases.gatherAt);
testKernel(cases.pairwiseFrom);
testKernel(cases.gatherFour);
testKernel(cases.tableBegin);
testKernel(cases.pairTerms);
