import { cases } from "../support/cases.js";
import { testKernel } from "../support/kernel-case.js";

testKernel(cases.spreadSlot);
testKernel(cases.productsOfFour);
testKernel(cases.softmaxOfFour);
testKernel(cases.concatOfFour);
testKernel(cases.sumOfFour);
