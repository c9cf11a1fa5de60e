import { cases } from "../support/cases.js";
import { testKernel } from "../support/kernel-case.js";

testKernel(cases.touchRows);
testKernel(cases.sortOccurrences);
