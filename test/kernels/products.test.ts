import { cases } from "../support/cases.js";
import { testKernel } from "../support/kernel-case.js";

testKernel(cases.gatherSlots);
testKernel(cases.knownPairs);
testKernel(cases.productsForward);
testKernel(cases.pairProducts);
testKernel(cases.productsBackward);
testKernel(cases.padPairs);
testKernel(cases.concatForward);
testKernel(cases.concatBackward);
