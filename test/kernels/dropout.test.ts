import { describe, expect, test } from "vitest";
import { cases } from "../support/cases.js";
import { dropoutMask, keepThreshold, randomKey } from "../support/dropout.js";
import { GuardedMemory, input, output, outputU8 } from "../support/guards.js";
import { testKernel } from "../support/kernel-case.js";
import { KEEPS } from "../support/masked-cases.js";
import { Random } from "../support/random.js";

testKernel(cases.dropoutMasks);
testKernel(cases.dropout);

describe("dropout", () => {
  const memory = new GuardedMemory();
  const { kernels } = memory;

  function kernelMask(key: number, blocks: number, threshold: number): Int8Array {
    memory.clear();
    const out = memory.place("out", outputU8(16 * blocks));
    kernels.dropoutMasks(out, key, 1, blocks, threshold);
    memory.check("dropoutMasks");
    return new Int8Array(memory.memory.buffer, out, 16 * blocks).slice();
  }

  test("the functions that tell the twins the masks are those of the kernels", () => {
    const random = new Random(1);
    for (let i = 0; i < 200; i++) {
      const [seed, stream, step, row] = [random.int(2 ** 32), random.int(32), random.int(1e6), random.int(1e6)];
      const key = randomKey(seed, stream, step, row);
      expect(key).toBe(kernels.randomKey(seed, stream, step, row) >>> 0);
      const keep = random.value(1e-6, 1);
      const threshold = keepThreshold(keep);
      expect(threshold).toBe(kernels.randomKeepThreshold(keep));
      const mask = Int8Array.from(dropoutMask(key, 48, threshold), (kept) => -kept);
      expect(kernelMask(key, 3, threshold)).toEqual(mask);
    }
    for (const keep of [...KEEPS, 0.25, 1 - 2 ** -17, 3 * 2 ** -17, 5 * 2 ** -17]) {
      expect(keepThreshold(keep)).toBe(kernels.randomKeepThreshold(keep));
    }
  });

  test("kept values times their scale have the mean of all values", () => {
    for (const keep of [0.9, 0.5, 0.25, 0.01]) {
      const threshold = keepThreshold(keep);
      const lanes = 64;
      let kept = 0;
      for (let row = 0; row < 2000; row++) {
        kept += dropoutMask(randomKey(1, 17, 3, row), lanes, threshold).reduce((sum, bit) => sum + bit, 0);
      }
      // Five standard deviations of the mean of 128,000 masks
      const deviation = Math.sqrt((1 - keep) / keep / (2000 * lanes));
      const mean = (kept * kernels.randomKeepScale(threshold)) / (2000 * lanes);
      expect(Math.abs(mean - 1)).toBeLessThan(5 * deviation);
    }
  });

  test("keep = 1 keeps every bit, -0, subnormals and NaN among them", () => {
    const values = Uint32Array.from([0x80000000, 1, 0x7fc00001, 0x7f800000, 0xff800000, 0x3f800001, 0x807fffff, 0]);
    memory.clear();
    const x = memory.place("x", input(values));
    const out = memory.place("out", output(8));
    kernels.dropout(out, x, 8, 123, 65536);
    memory.check("dropout");
    // x * 1: a NaN stays a NaN, all others their bits.
    const got = new Uint32Array(memory.memory.buffer, out, 8);
    expect([...got].filter((_, i) => i !== 2)).toEqual([...values].filter((_, i) => i !== 2));
    expect(new Float32Array(memory.memory.buffer, out, 8)[2]).toBeNaN();
  });

  test("masks differ by seed, stream, step and row", () => {
    const base = [7, 16, 3, 11] as const;
    const masks = [base, [8, 16, 3, 11], [7, 17, 3, 11], [7, 16, 4, 11], [7, 16, 3, 12]].map((words) => {
      const [seed, stream, step, row] = words as [number, number, number, number];
      return dropoutMask(randomKey(seed, stream, step, row), 64, 32768).join("");
    });
    expect(new Set(masks).size).toBe(5);
  });
});
