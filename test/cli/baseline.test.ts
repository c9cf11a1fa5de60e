import { describe, expect, it } from "vitest";
import { constantMetrics } from "../../src/cli/baseline.js";
import { readLibfm } from "../../src/data/read.js";

const rows = (labels: number[]) => readLibfm(labels.map((label) => `${label} 0:1\n`).join(""));

describe("the constant guess", () => {
  it("is the mean label of the training rows", async () => {
    const metrics = constantMetrics(await rows([1, 2, 6]), await rows([1, 4]));
    expect(metrics).toEqual({ rows: 2, rmse: Math.sqrt((4 + 1) / 2), mae: 1.5 });
  });

  it.each([
    ["-1 and 1", -1],
    ["0 and 1", 0],
  ])("is the more frequent class of labels %s", async (_name, low) => {
    const metrics = constantMetrics(await rows([low, low, low, 1]), await rows([low, 1, low, low, low]));
    expect(metrics).toMatchObject({ auc: 0.5, accuracy: 0.8, f1: 0 });
    expect(metrics.logloss).toBeCloseTo(-0.2 * Math.log(0.25) - 0.8 * Math.log(0.75), 12);
  });

  it("guesses the positive class when that is more frequent", async () => {
    const metrics = constantMetrics(await rows([-1, 1, 1]), await rows([-1, 1]));
    expect(metrics).toMatchObject({ accuracy: 0.5, f1: 2 / 3 });
  });

  it("knows no area under the curve with one class, and no infinite log loss where it is right", async () => {
    const metrics = constantMetrics(await rows([-1, 1]), await rows([1, 1]));
    expect(metrics.auc).toBeNaN();
    expect(metrics.logloss).toBeCloseTo(Math.log(2), 12);
  });
});
