// Test module: single kernels with plain signatures. Never shipped; the program's module is ../index.ts.
export * from "./math-testing";
