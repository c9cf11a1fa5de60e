import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { cases } from "../support/cases.js";
import { instantiateTestKernels } from "../support/kernels.js";

const FOLDER = new URL("../../assembly/kernels/", import.meta.url);

/** Functions without buffers: loss.test.ts compares them with their twins. */
const ELSEWHERE = ["lossValue", "lossGradient", "probability"];

const kernels = readdirSync(FOLDER)
  .filter((file) => !["index.ts", "math-testing.ts"].includes(file))
  .flatMap((file) => [...readFileSync(new URL(file, FOLDER), "utf8").matchAll(/^export function (\w+)/gm)])
  .map(([, name]) => name!);

test("every kernel is declared once in test/support/cases.ts", () => {
  expect([...Object.keys(cases), ...ELSEWHERE].sort()).toEqual([...kernels].sort());
});

test("every case is run, once", () => {
  const tests = readdirSync(new URL(".", import.meta.url)).map((file) =>
    readFileSync(new URL(file, import.meta.url), "utf8"),
  );
  const run = tests.flatMap((text) => [...text.matchAll(/^testKernel\(cases\.(\w+)\);$/gm)].map(([, name]) => name!));
  expect(run.sort()).toEqual(Object.keys(cases).sort());
});

test("a case has the name of its kernel", () => {
  expect(Object.values(cases).map(({ kernel }) => kernel)).toEqual(Object.keys(cases));
});

test("every kernel is exported from the test module", () => {
  const exported = Object.keys(instantiateTestKernels().kernels);
  expect(kernels.filter((name) => !exported.includes(name))).toEqual([]);
});
