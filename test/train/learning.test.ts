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

describe.each(["fm", "afm", "ifm", "inn", "deepifm"] as const)("%s learns a planted interaction", (model) => {
  const shallow = model === "fm" || model === "ifm";
  // Networks need their rates tuned under the rules that do not scale the gradient themselves.
  test.each(shallow ? optimizers : optimizers.slice(2))("$optimizer, squared loss", async (options) => {
    const { model: trained } = await train({
      model: { model, loss: "squared", factors: 8, attentionFactors: 4, fieldFactors: 4, hidden: [8] },
      train: { ...options, epochs: 80, batchSize: 50, earlyStop: 0 },
      data,
    });
    const { rmse, auc, accuracy } = trained.evaluate(data.validation);
    expect([accuracy, auc]).toEqual([1, 1]);
    expect(rmse).toBeLessThan(0.2);
  });

  test("adagrad, logistic loss, dropout", async () => {
    const { epochs, model: trained } = await train({
      model: { model, loss: "logistic", factors: 8, attentionFactors: 4, fieldFactors: 4, hidden: [8] },
      train: { lr: 0.2, epochs: 40, batchSize: 50, keep: [1, 0.9], earlyStop: 0 },
      data,
    });
    expect(trained.evaluate(data.validation)).toMatchObject({ accuracy: 1, auc: 1 });
    expect(epochs.at(-1)!.validation!.logloss).toBeLessThan(0.1);
  });

  if (!shallow) return;
  test("more regularisation never fits the training rows better", async () => {
    const errors: number[] = [];
    for (const lambda of [0, 1, 10]) {
      const { model: trained } = await train({
        model: { model, factors: 4, attentionFactors: 2, fieldFactors: 2 },
        train: {
          epochs: 60,
          batchSize: 600,
          l2: { embedding: lambda, linear: lambda, attention: lambda, field: lambda },
        },
        data: { train: data.train },
      });
      errors.push(trained.evaluate(data.train).rmse);
    }
    expect(errors).toEqual([...errors].sort((a, b) => a - b));
    expect(errors[2]).toBeGreaterThan(2 * errors[0]!);
  });
});
