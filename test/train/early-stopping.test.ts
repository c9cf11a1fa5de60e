import { describe, expect, test } from "vitest";
import type { TrainerOptions } from "../../src/api.js";
import { EarlyStopping } from "../../src/train/early-stopping.js";
import { noiseRows, parse, plantedRows } from "../support/data.js";
import { digest, train } from "../support/train.js";

describe("EarlyStopping", () => {
  test("knows the best epoch and stops after `patience` epochs without a better one", () => {
    const stopping = new EarlyStopping(2);
    const values = [3, 2, 2.5, 1.5, 1.5, 1.6, 1];
    const seen = values.map((value, i) => [
      stopping.update(i + 1, value),
      stopping.bestEpoch,
      stopping.shouldStop(i + 1),
    ]);
    expect(seen).toEqual([
      [true, 1, false],
      [true, 2, false],
      [false, 2, false],
      [true, 4, false],
      [false, 4, false], // equal is not better
      [false, 4, true],
      [true, 7, false],
    ]);
  });

  test("patience 0 never stops", () => {
    const stopping = new EarlyStopping(0);
    for (let epoch = 1; epoch < 100; epoch++) {
      stopping.update(epoch, epoch);
      expect(stopping.shouldStop(epoch)).toBe(false);
    }
    expect(stopping.bestEpoch).toBe(1);
  });

  test("NaN is no improvement", () => {
    const stopping = new EarlyStopping(1);
    expect(stopping.update(1, Number.NaN)).toBe(false);
    expect(stopping.bestEpoch).toBe(0);
  });
});

// Labels are coin throws: the model learns them by heart and the validation error rises.
const data = { train: await parse(noiseRows(150, 1)), validation: await parse(noiseRows(150, 50)) };

const options = (model: "fm" | "ifm", loss: "squared" | "logistic", earlyStop: number): TrainerOptions => ({
  model: { model, loss, factors: 8, attentionFactors: 4, fieldFactors: 4 },
  train: { epochs: 40, earlyStop, lr: 0.1, batchSize: 50 },
  data,
});

describe.each(["fm", "ifm"] as const)("%s", (model) => {
  describe.each([
    ["squared", "rmse"],
    ["logistic", "logloss"],
  ] as const)("%s loss", (loss, metric) => {
    test.each([1, 3])("patience %i: stops, and the model is that of the best epoch", async (patience) => {
      const { epochs, end, model: trained } = await train(options(model, loss, patience));
      const values = epochs.map(({ validation }) => validation![metric]!);
      const best = values.indexOf(Math.min(...values)) + 1;
      expect(end).toMatchObject({ reason: "early-stop", bestEpoch: best, epochs: epochs.length });
      expect(epochs.length).toBe(best + patience);
      expect(epochs.length).toBeLessThan(40);

      // `best` marks each epoch that was the best so far.
      let least = Number.POSITIVE_INFINITY;
      for (const { best: flag, validation } of epochs) {
        expect(flag).toBe(validation![metric]! < least);
        least = Math.min(least, validation![metric]!);
      }

      expect(trained.evaluate(data.validation)).toEqual(epochs[best - 1]!.validation);
      expect(trained.record).toMatchObject({ bestEpoch: best, metrics: { validation: epochs[best - 1]!.validation } });
      // The weights of a run of just so many epochs
      const short = options(model, loss, 0);
      const same = await train({ ...short, train: { ...short.train, epochs: best } });
      expect(digest(trained)).toBe(digest(same.model));
    });
  });

  test("off: all epochs, and the model is that of the last", async () => {
    const base = options(model, "squared", 0);
    const { epochs, end, model: trained } = await train({ ...base, train: { ...base.train, epochs: 12 } });
    expect(end).toMatchObject({ reason: "epochs", bestEpoch: 12, epochs: 12 });
    expect(trained.evaluate(data.validation)).toEqual(epochs[11]!.validation);
    expect(epochs.some(({ best }) => !best)).toBe(true);
  });

  test("without validation rows: all epochs, and the model is that of the last", async () => {
    const base = options(model, "squared", 1);
    const { end } = await train({ ...base, train: { ...base.train, epochs: 6 }, data: { train: data.train } });
    expect(end).toMatchObject({ reason: "epochs", bestEpoch: 6, epochs: 6 });
  });

  test("test rows are evaluated and watched by nobody", async () => {
    const base = options(model, "squared", 3);
    const with_ = await train({ ...base, data: { ...data, test: await parse(plantedRows(40, 9)) } });
    const without = await train(base);
    expect(with_.epochs.every(({ test }) => test?.rows === 40)).toBe(true);
    expect(digest(with_.model)).toBe(digest(without.model));
  });
});
