import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createTrainer, Model, type TrainerOptions, type TrainOptions } from "../../src/api.js";
import { assertSameBits } from "../support/compare.js";
import { parse, plantedRows } from "../support/data.js";
import { BUILDS } from "../support/memory.js";
import { configOf, modelOf, rowsOf, TestSession } from "../support/session.js";
import { digest, toModel, train, weights } from "../support/train.js";

const rows = plantedRows(300, 1);
const data = { train: await parse(rows), validation: await parse(plantedRows(100, 2)) };
const KINDS = ["fm", "afm", "ifm", "inn", "deepifm"] as const;

const options = (model: (typeof KINDS)[number], extra: TrainOptions = {}): TrainerOptions => ({
  model: { model, factors: 6, attentionFactors: 3, fieldFactors: 2, hidden: [5], loss: "squared" },
  train: { epochs: 4, batchSize: 70, keep: [0.9, 0.8], ...extra },
  data,
});

describe.each(KINDS)("%s", (kind) => {
  test("the same seed twice: the same losses and the same file, byte for byte", async () => {
    const [first, second] = [await train(options(kind)), await train(options(kind))];
    expect(second.epochs.map(({ loss, train, validation }) => [loss, train, validation])).toEqual(
      first.epochs.map(({ loss, train, validation }) => [loss, train, validation]),
    );
    assertSameBits("model file", second.model.toBytes(), first.model.toBytes());
  });

  test("another seed: other initial weights, another order, other masks", async () => {
    const [first, second] = [await train(options(kind)), await train(options(kind, { seed: 1 }))];
    expect(digest(second.model)).not.toBe(digest(first.model));
  });

  test("each part of the seed's work matters by itself: order and masks", async () => {
    const init = await toModel(
      modelOf(
        {
          ...configOf({ model: kind, features: 18, factors: 6, hidden: [5] }, 3),
          fieldFactors: 2,
          attentionFactors: 3,
        },
        1,
      ),
    );
    const of = async (extra: TrainOptions) => digest((await train({ ...options(kind, extra), init })).model);
    const plain: TrainOptions = { keep: [1, 1], shuffle: false };
    expect(await of({ ...plain, seed: 1 })).toBe(await of({ ...plain, seed: 2 }));
    expect(await of({ ...plain, shuffle: true, seed: 1 })).not.toBe(await of({ ...plain, shuffle: true, seed: 2 }));
    expect(await of({ ...plain, keep: [0.9, 0.8], seed: 1 })).not.toBe(
      await of({ ...plain, keep: [0.9, 0.8], seed: 2 }),
    );
  });

  test("shuffle off: the batches are the rows of the file in order", async () => {
    const model = modelOf(configOf({ model: kind, features: 18, factors: 6, attentionFactors: 3, hidden: [5] }, 3), 1);
    const extra: TrainOptions = { shuffle: false, epochs: 2, earlyStop: 0, optimizer: "adam" };
    const { model: trained } = await train({ ...options(kind, extra), init: await toModel(model) });
    const session = new TestSession(BUILDS[0].module, model, rows, { ...options(kind, extra).train! });
    for (let epoch = 0; epoch < 2; epoch++) {
      for (let first = 0; first < rows.length; first += 70)
        session.trainBatch(first, Math.min(70, rows.length - first));
    }
    for (const [name, values] of Object.entries(session.tensors())) {
      assertSameBits(name, trained.tensor(name), values);
    }
  });

  test("the model that a trainer becomes: the one that it gives", async () => {
    for (const epochs of [0, 3]) {
      const trainer = await createTrainer(options(kind, { epochs }));
      for await (const _ of trainer);
      const given = trainer.model();
      const become = trainer.intoModel();
      expect(Buffer.compare(become.toBytes(), given.toBytes())).toBe(0);
      assertSameBits("predictions", become.predict(data.validation), given.predict(data.validation));
      expect(() => trainer.model()).toThrow("used after dispose");
    }
  });

  test("a table that is saved in parts: the bytes that it has in one", async () => {
    const { model, ...rest } = options(kind);
    const { model: trained } = await train({ ...rest, model: { ...model, features: 9001 } });
    const folder = mkdtempSync(join(tmpdir(), "ifm-parts-"));
    await trained.save(join(folder, "model"));
    const bytes = readFileSync(join(folder, "model"));
    rmSync(folder, { recursive: true });
    expect(Buffer.compare(bytes, trained.toBytes())).toBe(0);
  });

  test("save, load, predict: the same bits", async () => {
    const { model } = await train(options(kind));
    const folder = mkdtempSync(join(tmpdir(), "ifm-train-"));
    afterAll(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, `${kind}.safetensors`);
    await model.save(path);
    const loaded = await Model.load(path);
    assertSameBits("predictions", loaded.predict(data.validation), model.predict(data.validation));
    assertSameBits("weights", concat(weights(loaded)), concat(weights(model)));
    assertSameBits("the file again", loaded.toBytes(), model.toBytes());
    expect(loaded.evaluate(data.validation)).toEqual(model.evaluate(data.validation));
    expect([loaded.config, loaded.record]).toEqual([model.config, JSON.parse(JSON.stringify(model.record))]);
  });

  test("continuing from a saved model with sgd is training on", async () => {
    const extra: TrainOptions = { optimizer: "sgd", lr: 0.02, shuffle: false, keep: [1, 1], earlyStop: 0 };
    const four = await train(options(kind, { ...extra, epochs: 4 }));
    const two = await train(options(kind, { ...extra, epochs: 2 }));
    const again = await train({
      ...options(kind, { ...extra, epochs: 2 }),
      init: await Model.load(two.model.toBytes()),
    });
    assertSameBits("weights", concat(weights(again.model)), concat(weights(four.model)));
  });

  test("labels 0/1 and -1/1 under the logistic loss give the same weights", async () => {
    const of = async (low: number) => {
      const sets = { train: await parse(plantedRows(300, 1, low)), validation: await parse(plantedRows(100, 2, low)) };
      const base = options(kind);
      return train({ ...base, model: { ...base.model, loss: "logistic" }, data: sets });
    };
    const [zero, minus] = [await of(0), await of(-1)];
    assertSameBits("weights", concat(weights(zero.model)), concat(weights(minus.model)));
    expect(zero.epochs.map(({ loss }) => loss)).toEqual(minus.epochs.map(({ loss }) => loss));
    for (const metric of ["logloss", "auc", "accuracy", "f1"] as const) {
      expect(zero.epochs.map((e) => e.validation![metric])).toEqual(minus.epochs.map((e) => e.validation![metric]));
    }
  });
});

function concat(tensors: Record<string, Float32Array>): Float32Array {
  return Float32Array.from(Object.values(tensors).flatMap((data) => [...data]));
}

describe("the order of an epoch", () => {
  const config = configOf({ model: "fm" });
  const { session, desc } = new TestSession(BUILDS[0].module, modelOf(config, 1), rowsOf(config, 500, 2, { upTo: 3 }));
  const order = (epoch: number, seed: number, shuffle = true) => {
    session.order(epoch, seed, shuffle);
    return [...new Uint32Array(session.memory.buffer, desc.get("order"), 500)];
  };
  const identity = Array.from({ length: 500 }, (_, i) => i);

  test("is every row once", () => {
    for (const epoch of [1, 2, 3]) expect(order(epoch, 7).sort((a, b) => a - b)).toEqual(identity);
    expect(order(4, 7, false)).toEqual(identity);
  });

  test("depends on seed and epoch alone, not on the epochs before", () => {
    const third = order(3, 7);
    for (const epoch of [1, 2, 9]) order(epoch, 8);
    expect(order(3, 7)).toEqual(third);
    expect(order(2, 7)).not.toEqual(third);
    expect(order(3, 8)).not.toEqual(third);
  });
});
