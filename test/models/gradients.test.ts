import { describe, expect, test } from "vitest";
import { caseOf, checkBatch, SHAPES } from "../support/batch.js";
import { BUILDS } from "../support/memory.js";
import { FACTORS } from "../support/sweep.js";

describe.each(BUILDS)("$build", ({ module }) => {
  for (const { name, shapes } of SHAPES) {
    test.each(FACTORS)(`${name}, K = %i`, (K) => {
      shapes.forEach((shape, seed) => {
        if (shape.K === K) checkBatch(module, shape, seed);
      });
    });
  }
});

test("the sweep meets rows without pairs, without slots and without a known feature", () => {
  const cases = SHAPES.flatMap(({ shapes }) => shapes).map((shape, i) => ({ shape, ...caseOf(shape, i) }));
  const rows = cases.flatMap(({ rows, model }) => rows.map((row) => ({ row, n: model.config.features })));
  expect(rows.some(({ row }) => row.slots.length === 0)).toBe(true);
  expect(rows.some(({ row, n }) => row.slots.length > 0 && row.slots.every(({ feature }) => feature >= n))).toBe(true);
  expect(rows.some(({ row }) => new Set(row.slots.map(({ feature }) => feature)).size < row.slots.length)).toBe(true);
});
