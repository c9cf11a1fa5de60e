import { describe, expect, test } from "vitest";
import type { TrainOptions } from "../../src/api.js";
import { parse, plantedRows } from "../support/data.js";
import { train } from "../support/train.js";

// The label depends on the pair of the first two features alone, and on none of them by itself.
const data = { train: await parse(plantedRows(600, 1)), validation: await parse(plantedRows(300, 2)) };

const optimizers: TrainOptions[] = [
  { optimizer: "sgd", lr: 0.02 },
  { optimizer: "momentum", lr: 0.002 },
  { optimizer: "adagrad", lr: 0.1 },
  { optimizer: "adam", lr: 0.02 },
  { optimizer: "ftrl", lr: 0.1 },
];

describe.each(["fm", "ifm"] as const)("%s learns a planted interaction", (model) => {
  test.each(optimizers)("$optimizer, squared loss", async (options) => {
    const { model: trained } = await train({
      model: { model, factors: 8, attentionFactors: 4, fieldFactors: 4 },
      train: { ...options, epochs: 80, batchSize: 50, earlyStop: 0 },
      data,
    });
    const { rmse, auc, accuracy } = trained.evaluate(data.validation);
    expect([accuracy, auc]).toEqual([1, 1]);
    expect(rmse).toBeLessThan(0.2);
  });

  test("adagrad, logistic loss, dropout", async () => {
    const { epochs, model: trained } = await train({
      model: { model, loss: "logistic", factors: 8, attentionFactors: 4, fieldFactors: 4 },
      train: { lr: 0.2, epochs: 40, batchSize: 50, keep: [1, 0.9], earlyStop: 0 },
      data,
    });
    expect(trained.evaluate(data.validation)).toMatchObject({ accuracy: 1, auc: 1 });
    expect(epochs.at(-1)!.validation!.logloss).toBeLessThan(0.1);
  });

  test("more regularisation never fits the training rows better", async () => {
    const losses: number[] = [];
    for (const embedding of [0, 0.3, 1, 3]) {
      const { epochs } = await train({
        model: { model, factors: 4 },
        train: { epochs: 30, batchSize: 100, earlyStop: 0, l2: { embedding }, shuffle: false },
        data: { train: data.train },
      });
      losses.push(epochs.at(-1)!.loss);
    }
    expect(losses).toEqual([...losses].sort((a, b) => a - b));
    expect(losses[3]).toBeGreaterThan(2 * losses[0]!);
  });
});
