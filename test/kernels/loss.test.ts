import { describe, expect, test } from "vitest";
import { LOSS } from "../../src/wasm/abi.js";
import { rowLoss, rowLossSlope } from "../reference/index.js";
import { cases } from "../support/cases.js";
import { assertClose } from "../support/compare.js";
import { GuardedMemory, inOut, input } from "../support/guards.js";
import { testKernel } from "../support/kernel-case.js";
import { Random } from "../support/random.js";

testKernel(cases.lossOfRows);
testKernel(cases.metricSums);
testKernel(cases.allFinite);

const memory = new GuardedMemory();
const { kernels } = memory;

/** Scores from 1e-30 to 1e4 on both sides, 0, and some in between. */
const random = new Random(1);
const MAGNITUDES = [1e-30, 1e-10, 1e-3, 0.5, 1, 2, 10, 16, 17, 30, 87, 88, 89, 100, 104, 700, 745, 746, 1000, 1e4];
const SCORES = [0, ...MAGNITUDES, ...MAGNITUDES.map((x) => -x), ...random.values(200, -20, 20)].map(Math.fround);

describe.each(["squared", "logistic"] as const)("%s loss", (loss) => {
  const labels = loss === "squared" ? [-1, 0, 1, 3.5, -1e4] : [-1, 0, 1];

  test.each(labels)("values and gradients for the label %d, margins up to ±1e4", (label) => {
    for (const score of SCORES) {
      const what = `${loss} label=${label} score=${score}`;
      const value = rowLoss(loss, label, score);
      // Below 1e-300 exp64 may say 0.
      const valueScale = Math.abs(value) + 1e-290;
      assertClose(
        `${what}: value`,
        [kernels.lossValue(LOSS[loss], score, label)],
        { values: [value], scale: valueScale },
        1e-15,
      );
      const slope = rowLossSlope(loss, label, score);
      // One rounding to f32, below 2^-126 to a multiple of 2^-149.
      const slopeScale = Math.abs(slope) + 2 ** -125;
      assertClose(
        `${what}: slope`,
        [kernels.lossGradient(LOSS[loss], score, label)],
        { values: [slope], scale: slopeScale },
        6e-8,
      );
    }
  });

  test("NaN and infinity are not hidden", () => {
    expect(kernels.lossValue(LOSS[loss], Number.NaN, 1)).toBeNaN();
    expect(kernels.lossGradient(LOSS[loss], Number.NaN, 1)).toBeNaN();
    expect(kernels.lossValue(LOSS[loss], Number.POSITIVE_INFINITY, -1)).toBe(Number.POSITIVE_INFINITY);
  });
});

test("logistic: label 0 is label -1, bit for bit", () => {
  for (const score of SCORES) {
    expect(kernels.lossValue(LOSS.logistic, score, 0)).toBe(kernels.lossValue(LOSS.logistic, score, -1));
    expect(kernels.lossGradient(LOSS.logistic, score, 0)).toBe(kernels.lossGradient(LOSS.logistic, score, -1));
  }
});

test("logistic: the gradient has the sign of -y and at most the size 1", () => {
  for (const score of SCORES) {
    expect(kernels.lossGradient(LOSS.logistic, score, 1)).toBeLessThanOrEqual(0);
    expect(kernels.lossGradient(LOSS.logistic, score, 1)).toBeGreaterThanOrEqual(-1);
    expect(kernels.lossGradient(LOSS.logistic, score, -1)).toBeGreaterThanOrEqual(0);
    expect(kernels.lossGradient(LOSS.logistic, score, -1)).toBeLessThanOrEqual(1);
  }
});

test("a score that is not a number reaches the metrics", () => {
  memory.clear();
  const out = memory.place("out", inOut(new Float64Array(6)));
  const labels = memory.place("labels", input(Float32Array.from([1, -1, 1])));
  const order = memory.place("order", input(Uint32Array.from([0, 1, 2])));
  const yHat = memory.place("yHat", input(Float32Array.from([0.5, Number.NaN, 2])));
  const desc = memory.placeDesc({ count: 3, first: 0, labels, order, yHat });
  kernels.metricSums(out, desc, -1, 1, 0, 0);
  memory.check("metricSums");
  const [squared, absolute, logistic] = new Float64Array(memory.memory.buffer, out, 6);
  expect([squared, absolute, logistic]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
});

test("the probability of a score", () => {
  for (const score of SCORES) {
    const expected = 1 / (1 + Math.exp(-score));
    // Below 1e-300 exp64 may say 0.
    const scale = expected + 1e-290;
    assertClose(`score=${score}`, [kernels.probability(score)], { values: [expected], scale }, 1e-15);
    expect(kernels.probability(score) + kernels.probability(-score)).toBeCloseTo(1, 15);
  }
  expect(kernels.probability(0)).toBe(0.5);
  expect(kernels.probability(Number.NaN)).toBeNaN();
});
