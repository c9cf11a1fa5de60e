import { describe, expect, test } from "vitest";
import { createTrainer, type TrainerOptions } from "../../src/api.js";
import { parse, plantedRows } from "../support/data.js";
import { datasetOf } from "../support/session.js";
import { errorOf, train } from "../support/train.js";

const rows = plantedRows(20, 1);
const data = { train: await parse(rows, "train.libfm") };

/** Options as a caller without types could write them. */
const failing = (options: object) => errorOf(createTrainer({ data, ...options } as TrainerOptions));

describe("data", () => {
  test("no rows", async () => {
    const error = await failing({ data: { train: datasetOf([], "empty.libfm") } });
    expect([error.code, error.message]).toEqual(["IFM_DATA", "empty.libfm: no rows"]);
  });

  test("unequal slots: the row that is the odd one out", async () => {
    const odd = [...rows.slice(0, 7), { label: 1, slots: rows[7]!.slots.slice(1) }, ...rows.slice(8)];
    const error = await failing({ model: { model: "ifm" }, data: { train: await parse(odd, "odd.libfm") } });
    expect(error.code).toBe("IFM_DATA");
    expect(error.message).toBe("odd.libfm:8: row 8 has 2 slots, ifm needs 3 in every row");
    expect(error.hint).toMatch(/fm takes rows of any length/);
    await train({ model: { model: "fm" }, data: { train: await parse(odd) }, train: { epochs: 1 } });
  });

  test("unequal slots in the validation rows", async () => {
    const longer = rows.map((row, r) => (r === 4 ? { ...row, slots: [...row.slots, row.slots[0]!] } : row));
    const error = await failing({ data: { ...data, validation: await parse(longer, "valid.libfm") } });
    expect([error.code, error.message]).toEqual([
      "IFM_DATA",
      "valid.libfm:5: row 5 has 4 slots, ifm needs 3 in every row",
    ]);
  });

  test.each([
    [[-1, 1], 2, "expected a label -1 or 1, found 2"],
    [[0, 1], 0.5, "expected a label 0 or 1, found 0.5"],
    [[-1, 1], 0, "expected a label -1 or 1, found 0"],
  ])("labels %j under the logistic loss and one %d", async (labels, wrong, message) => {
    const mixed = rows.map((row, r) => ({ ...row, label: r === 10 ? wrong : labels[r % 2]! }));
    const set = await parse(mixed, "labels.libfm");
    for (const sets of [{ train: set }, { train: await parse(plantedRows(9, 1, labels[0])), test: set }]) {
      const error = await failing({ model: { model: "fm", loss: "logistic" }, data: sets });
      expect([error.code, error.message]).toEqual(["IFM_DATA", `labels.libfm:11: row 11: ${message}`]);
      expect(error.hint).toMatch(/--loss squared/);
    }
  });

  // Each set by itself is fine; together, 0 is an error of 1 for a model that knows -1.
  test("-1/1 in the training rows and 0/1 in the validation rows", async () => {
    const validation = await parse(plantedRows(20, 2, 0), "valid.libfm");
    const error = await failing({ model: { model: "fm", loss: "logistic" }, data: { ...data, validation } });
    expect(error.code).toBe("IFM_DATA");
  });

  test("no validation rows is no divergence", async () => {
    const validation = datasetOf([], "empty.libfm");
    const error = await errorOf(train({ model: { model: "fm" }, data: { ...data, validation } }));
    expect(error.code).toBe("IFM_DATA");
  });
});

describe("options", () => {
  test.each([
    [{ model: "lr" }, 'model: expected one of fm, afm, ifm, inn, deepifm, got "lr"'],
    [{ factors: 0 }, "factors: expected a whole number from 1 to 65536, got 0"],
    [{ factors: 1.5 }, "factors: expected a whole number from 1 to 65536, got 1.5"],
    [{ features: 0 }, "features: expected a whole number from 1 to 2147483647, got 0"],
    [{ attentionFactors: "8" }, 'attentionFactors: expected a whole number from 1 to 65536, got "8"'],
    [{ fieldFactors: -1 }, "fieldFactors: expected a whole number from 1 to 65536, got -1"],
    [{ activation: "gelu" }, 'activation: expected one of relu, tanh, sigmoid, identity, got "gelu"'],
    [{ temperature: 0 }, "temperature: expected a number > 0, got 0"],
    [{ temperatureOn: "weights" }, 'temperatureOn: expected one of logits, projection, got "weights"'],
    [{ loss: "hinge" }, 'loss: expected one of squared, logistic, bpr, got "hinge"'],
    [{ fieldOfSlot: [0, 1, -1] }, "fieldOfSlot[2]: expected a whole number from 0 to 1023, got -1"],
    [{ fields: 2 }, "fields: expected a whole number from 3 to 1024, got 2"],
    [{ excludeSameField: 1 }, "excludeSameField: expected true or false, got 1"],
  ])("model %j", async (model, message) => {
    const error = await failing({ model: { ...model } });
    expect([error.code, error.message]).toEqual(["IFM_USAGE", message]);
  });

  test.each([
    [{ optimizer: "adagrd" }, 'optimizer: expected one of sgd, momentum, adagrad, adam, ftrl, got "adagrd"'],
    [{ lr: 0 }, "lr: expected a number > 0, got 0"],
    [{ lr: Number.NaN }, "lr: expected a number > 0, got null"],
    [{ epochs: -1 }, "epochs: expected a whole number from 0 to 2147483647, got -1"],
    [{ batchSize: 0 }, "batchSize: expected a whole number from 1 to 2147483647, got 0"],
    [{ keep: [1, 0] }, "keep[1]: expected a number > 0 and <= 1, got 0"],
    [{ keep: [1.5, 1] }, "keep[0]: expected a number > 0 and <= 1, got 1.5"],
    [{ keep: 0.5 }, "keep: expected two numbers [attention weights, pair products]"],
    [{ l2: { embedding: -1 } }, "l2.embedding: expected a number >= 0, got -1"],
    [{ reduction: "max" }, 'reduction: expected one of sum, mean, got "max"'],
    [{ clipNorm: -1 }, "clipNorm: expected a number >= 0, got -1"],
    [{ earlyStop: 0.5 }, "earlyStop: expected a whole number from 0 to 2147483647, got 0.5"],
    [{ seed: -1 }, "seed: expected a whole number from 0 to 4294967295, got -1"],
    [{ shuffle: "no" }, 'shuffle: expected true or false, got "no"'],
    [{ freeze: "bias" }, "freeze: expected a list of tensor names"],
    [{ momentum: 1 }, "momentum: expected a number >= 0 and < 1, got 1"],
    [{ adam: { beta2: 1 } }, "adam.beta2: expected a number >= 0 and < 1, got 1"],
    [{ adam: { epsilon: 0 } }, "adam.epsilon: expected a number > 0, got 0"],
    [{ ftrl: { beta: 0 } }, "ftrl.beta: expected a number > 0, got 0"],
    [{ ftrl: { l1: -1 } }, "ftrl.l1: expected a number >= 0, got -1"],
  ])("train %j", async (options, message) => {
    const error = await failing({ train: { ...options } });
    expect([error.code, error.message]).toEqual(["IFM_USAGE", message]);
  });

  test("a name that nobody knows is a mistake, too", async () => {
    for (const options of [
      { train: { learningRate: 1 } },
      { train: { l2: { embeddings: 1 } } },
      { model: { factor: 4 } },
    ]) {
      expect((await failing(options)).code).toBe("IFM_USAGE");
    }
  });

  test("undefined is as good as not there", async () => {
    const options = { model: { model: "fm" as const, factors: 4 }, train: { epochs: 1, l2: {}, adam: {} }, data };
    const given = { ...options, train: { ...options.train, lr: undefined, l2: { embedding: undefined } } };
    using trainer = await createTrainer(given as unknown as TrainerOptions);
    using plain = await createTrainer(options);
    expect(trainer.start.train).toEqual(plain.start.train);
  });
});
