import { describe, expect, test } from "vitest";
import { createTrainer, type TrainOptions } from "../../src/api.js";
import { assertSameBits } from "../support/compare.js";
import { parse, plantedRows } from "../support/data.js";
import { configOf, modelOf, rowsOf } from "../support/session.js";
import { errorOf, toModel, train, weights } from "../support/train.js";

const data = { train: await parse(plantedRows(200, 1)), validation: await parse(plantedRows(50, 2)) };

const fm = modelOf(configOf({ model: "fm", features: 18, factors: 6 }), 1);
const ifm = modelOf(
  configOf(
    {
      model: "ifm",
      features: 18,
      factors: 6,
      attentionFactors: 3,
      fieldFactors: 4,
      activation: "tanh",
      temperature: 3,
    },
    3,
  ),
  2,
);

describe("a model of another kind", () => {
  test("FM for IFM: table, linear weights and bias; sizes come along, the rest starts by itself", async () => {
    const init = await toModel(fm);
    using trainer = await createTrainer({ model: { model: "ifm", attentionFactors: 5 }, data, init });
    expect(trainer.start.model).toMatchObject({
      model: "ifm",
      features: 18,
      factors: 6,
      attentionFactors: 5,
      fields: 3,
    });
    const report = {
      model: "fm",
      taken: ["bias", "feature_bias", "feature_embeddings"],
      left: [],
      fresh: ["attention_W", "attention_b", "attention_p", "interaction", "factor"],
    };
    expect(trainer.start.init).toEqual(report);
    expect(trainer.model().record.init).toEqual(report);
    using fresh = await createTrainer({ model: { model: "ifm", factors: 6, attentionFactors: 5 }, data });
    const [started, own] = [weights(trainer.model()), weights(fresh.model())];
    for (const [name, values] of Object.entries(started)) {
      const from = name in fm.tensors ? init.tensor(name) : own[name]!;
      assertSameBits(name, values, from);
    }
  });

  test("IFM for FM: what FM has no place for is reported", async () => {
    const init = await toModel(ifm);
    using trainer = await createTrainer({ model: { model: "fm" }, data, init });
    expect(trainer.start.model).toMatchObject({ model: "fm", features: 18, factors: 6 });
    expect(trainer.start.init).toEqual({
      taken: ["bias", "feature_bias", "feature_embeddings"],
      left: ["attention_W", "attention_b", "attention_p", "interaction", "factor"].map((name) => ({
        name,
        reason: "fm has no such tensor",
      })),
      model: "ifm",
      fresh: [],
    });
  });

  test("other factors than its own: what does not fit is reported with both shapes", async () => {
    const init = await toModel(fm);
    using trainer = await createTrainer({ model: { model: "ifm", factors: 4 }, data, init });
    expect(trainer.start.init).toMatchObject({
      taken: ["bias", "feature_bias"],
      left: [{ name: "feature_embeddings", reason: "shape [18,6] there, [18,4] here" }],
    });
  });

  test("more features than it has: its rows are taken, the others start by themselves", async () => {
    const init = await toModel(fm);
    using trainer = await createTrainer({ model: { model: "fm", features: 30 }, data, init });
    expect(trainer.start.init!.taken).toEqual(["bias", "feature_bias", "feature_embeddings"]);
    using fresh = await createTrainer({ model: { model: "fm", features: 30, factors: 6 }, data });
    const table = trainer.model().tensor("feature_embeddings");
    assertSameBits("its rows", table.slice(0, 18 * 6), init.tensor("feature_embeddings"));
    assertSameBits(
      "the others",
      table.slice(18 * 6),
      fresh
        .model()
        .tensor("feature_embeddings")
        .slice(18 * 6),
    );
  });

  test("fewer features than it has: the tables are left", async () => {
    using trainer = await createTrainer({ model: { model: "fm", features: 17 }, data, init: await toModel(fm) });
    expect(trainer.start.init).toMatchObject({
      fresh: ["feature_bias", "feature_embeddings"],
      taken: ["bias"],
      left: [
        { name: "feature_bias", reason: "shape [18] there, [17] here" },
        { name: "feature_embeddings", reason: "shape [18,6] there, [17,6] here" },
      ],
    });
  });
});

describe("a model of the same kind", () => {
  test("gives everything that shapes it", async () => {
    const init = await toModel(ifm);
    using trainer = await createTrainer({ data, init });
    expect(trainer.start.model).toMatchObject(ifm.config);
    expect(trainer.start.init!.left).toEqual([]);
    for (const [name, values] of Object.entries(weights(trainer.model())))
      assertSameBits(name, values, init.tensor(name));
  });

  test("features that it does not know are counted and contribute nothing", async () => {
    const config = configOf({ model: "ifm", features: 10, factors: 4 }, 3);
    const rows = rowsOf({ ...config, features: 15 }, 60, 5);
    const unknown = rows.flatMap(({ slots }) => slots).filter(({ feature }) => feature >= 10).length;
    expect(unknown).toBeGreaterThan(20);
    const train_ = await parse(rows);
    const init = await toModel(modelOf(config, 3));
    const { start, model } = await train({ data: { train: train_, validation: train_ }, init, train: { epochs: 2 } });
    expect(start.model.features).toBe(10);
    expect(start.unknownFeatures).toEqual({ train: unknown, validation: unknown });
    expect(model.unknownFeatures(train_)).toBe(unknown);
    expect(model.tensor("feature_bias").length).toBe(10);
    expect(model.predict(train_).every(Number.isFinite)).toBe(true);
  });

  test("what is said goes before what it has", async () => {
    const model = { activation: "relu", temperature: 7, temperatureOn: "projection", loss: "logistic" } as const;
    using trainer = await createTrainer({ model, data, init: await toModel(ifm) });
    expect(trainer.start.model).toMatchObject({ ...ifm.config, ...model });
  });

  test("rows that do not fit its slots are refused", async () => {
    const init = await toModel(modelOf(configOf({ model: "ifm", features: 18 }, 4), 1));
    const error = await errorOf(createTrainer({ data, init }));
    expect(error.code).toBe("IFM_DATA");
    expect(error.message).toBe("rows:1: row 1 has 3 slots, ifm needs 4 in every row");
  });
});

describe("freeze", () => {
  const names = Object.keys(ifm.tensors);
  const optimizers: TrainOptions[] = (["sgd", "momentum", "adagrad", "adam", "ftrl"] as const).map((optimizer) => ({
    optimizer,
  }));

  test.each(optimizers)("$optimizer: frozen tensors keep every bit, the others do not", async (options) => {
    const init = await toModel(ifm);
    const freeze = ["feature_embeddings", "bias", "attention_b", "factor"];
    const run = { ...options, lr: 0.01, epochs: 2, freeze, l2: { embedding: 0.1, field: 0.1 } };
    const { model } = await train({ data, init, train: run });
    for (const name of names) {
      if (freeze.includes(name)) assertSameBits(name, model.tensor(name), init.tensor(name));
      else expect([name, model.tensor(name)]).not.toEqual([name, init.tensor(name)]);
    }
  });

  test("everything frozen: nothing changes", async () => {
    const init = await toModel(ifm);
    const { model } = await train({ data, init, train: { epochs: 1, freeze: names } });
    for (const name of names) assertSameBits(name, model.tensor(name), init.tensor(name));
  });

  test("a tensor that the model does not have is a mistake", async () => {
    const error = await errorOf(createTrainer({ model: { model: "fm" }, data, train: { freeze: ["factor"] } }));
    expect(error.code).toBe("IFM_USAGE");
    expect(error.message).toBe(
      'freeze: fm has no tensor "factor", expected one of bias, feature_bias, feature_embeddings',
    );
  });
});
