import { expect, it } from "vitest";
import { descFields, kernelCases, UNMEASURED } from "../../bench/kernels.js";
import { FIELDS, FLOATS } from "../../src/wasm/abi.js";
import { cases } from "../support/cases.js";
import { instantiateTestKernels } from "../support/kernels.js";

// The bench runs a build without assertions; here the same calls run with them.

it("reads the struct as the program has it", () => {
  expect(descFields("src/wasm/abi.ts")).toEqual(
    FIELDS.map((name) => ({ name, type: FLOATS.has(name) ? "f32" : "u32" })),
  );
});

it("calls every kernel, with what the kernel accepts", () => {
  const { kernels, memory } = instantiateTestKernels();
  memory.grow(192);
  const measured = kernelCases(kernels, memory, descFields("src/wasm/abi.ts"), 64);
  for (const { call } of measured) {
    call();
    call();
  }
  const names = new Set(measured.map(({ kernel }) => kernel.split(",")[0]));
  expect(Object.keys(cases).filter((name) => !names.has(name))).toEqual(UNMEASURED);
});
