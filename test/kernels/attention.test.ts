import { describe, expect, test } from "vitest";
import { cases } from "../support/cases.js";
import { GuardedMemory, inOut, input } from "../support/guards.js";
import { testKernel } from "../support/kernel-case.js";
import { Random } from "../support/random.js";
import { pad4 } from "../support/sweep.js";

testKernel(cases.attentionForward);
testKernel(cases.softmax);
testKernel(cases.softmaxBackward);
testKernel(cases.attentionBackward);

describe("laws of the softmax", () => {
  const memory = new GuardedMemory();
  const LOWEST = -(2 - 2 ** -23) * 2 ** 127;

  function softmax(logits: ArrayLike<number>): Float32Array {
    memory.clear();
    const P = logits.length;
    const x = memory.place("x", inOut(Float32Array.from({ length: pad4(P) }, (_, p) => logits[p] ?? LOWEST)));
    memory.kernels.softmax(x, P);
    memory.check("softmax");
    return new Float32Array(memory.memory.buffer, x, P).slice();
  }

  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 45, 190])("%i weights sum to 1, whatever the logits", (P) => {
    const random = new Random(P);
    for (const spread of [0, 1e-3, 1, 30, 1e4, 1e30]) {
      const T = softmax(random.values(P).map((x) => spread * x));
      expect(T.every((t) => t >= 0 && t <= 1)).toBe(true);
      expect(Math.abs(T.reduce((sum, t) => sum + t, 0) - 1)).toBeLessThan(5e-7);
    }
  });

  test("equal logits give mean pooling, exactly equal weights", () => {
    for (const P of [1, 2, 3, 5, 8, 45]) {
      const T = softmax(new Float32Array(P).fill(-17.25));
      expect(new Set(T).size).toBe(1);
      expect(T[0]).toBeCloseTo(1 / P, 7);
    }
  });

  test("a constant added to all logits changes nothing", () => {
    const logits = Float32Array.from([0.5, -1.25, 3, 2.75, -0.125]);
    expect(softmax(logits.map((x) => x + 1024))).toEqual(softmax(logits));
  });

  test("the gradient sums to 0", () => {
    const random = new Random(1);
    for (const P of [1, 2, 3, 10, 45]) {
      const T = softmax(random.values(P, -2, 2));
      memory.clear();
      const weights = memory.place("T", input(Float32Array.from({ length: pad4(P) }, (_, p) => T[p] ?? 0)));
      const dT = memory.place("dT", inOut(random.rows(1, P, pad4(P))));
      memory.kernels.softmaxBackward(dT, weights, P);
      memory.check("softmaxBackward");
      const sum = new Float32Array(memory.memory.buffer, dT, P).reduce((total, g) => total + g, 0);
      expect(Math.abs(sum)).toBeLessThan(3e-7);
    }
  });
});
