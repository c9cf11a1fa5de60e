import { describe, expect, test } from "vitest";
import { encodeModel } from "../../src/model/format.js";
import { Model } from "../../src/model/model.js";
import { quantizeTensors, toF16 } from "../../src/model/quantize.js";
import { createTrainer } from "../../src/train/trainer.js";
import { halfToNumber, type RefModel } from "../reference/index.js";
import { Random } from "../support/random.js";
import { configOf, datasetOf, modelOf, repeatingRows, rowsOf } from "../support/session.js";
import { errorOf, toModel, weights } from "../support/train.js";

const models: { name: string; model: RefModel }[] = [
  ...[5, 8, 36, 64].map((factors) => ({
    name: `fm, K ${factors}`,
    model: modelOf(configOf({ model: "fm", factors, features: 40 }), 1),
  })),
  { name: "fm with batch norm", model: modelOf(configOf({ model: "fm", factors: 7, features: 40 }), 1, true) },
  ...(["afm", "ifm", "inn", "deepifm"] as const).map((kind) => ({
    name: kind as string,
    model: modelOf(configOf({ model: kind, factors: 7, features: 40, hidden: [6, 3], loss: "logistic" }, 5), 3),
  })),
];

async function quantized(model: Model, to: "f16" | "int8"): Promise<Model> {
  const tensors = model.tensors.map(({ name, shape }) => ({ name, shape, data: model.tensor(name) }));
  return Model.load(encodeModel(model.config, model.record, quantizeTensors(tensors, to)));
}

describe("16-bit floats", () => {
  test("every one of them is its own nearest", () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < 65536; bits++) {
      if ((bits & 0x7c00) !== 0x7c00 && toF16(halfToNumber(bits)) !== bits) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  test("numbers between two become the nearest, or the even one", () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [low, high] = [halfToNumber(bits), halfToNumber(bits + 1)];
      const middle = (low + high) / 2;
      const near = (high - low) * 1e-6;
      const even = toF16(middle) === bits + (bits % 2);
      if (!even || toF16(middle - near) !== bits || toF16(-middle - near) !== 0x8000 + bits + 1) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });
});

describe.each(["afm", "ifm"] as const)("%s whose rows share their slots", (kind) => {
  test.each(["f16", "int8"] as const)("%s: the score of a row is the same alone and among others", async (to) => {
    const twin = modelOf(configOf({ model: kind, factors: 64, attentionFactors: 8, features: 40 }, 6), 1);
    using model = await toModel(twin);
    using small = await quantized(model, to);
    for (const ones of [true, false]) {
      const rows = repeatingRows(rowsOf(twin.config, 5, 2, { unknown: 3, ones }), 150, 3);
      const alone = rows.map((row) => small.predict(datasetOf([row]))[0]!);
      expect(Array.from(small.predict(datasetOf(rows)))).toEqual(alone);
    }
  });
});

describe.each(models)("$name", ({ model: twin }) => {
  test.each(["f16", "int8"] as const)("%s: scores are those of the numbers that its table stands for", async (to) => {
    using model = await toModel(twin);
    using small = await quantized(model, to);
    const tensors = model.tensors.map(({ name, shape }) => ({ name, shape, data: small.tensor(name) }));
    using same = await Model.load(encodeModel(model.config, model.record, tensors));
    for (const ones of [true, false]) {
      const rows = rowsOf(twin.config, 60, ones ? 3 : 4, { upTo: 9, unknown: 5, ones });
      const [scores, wanted] = [small.predict(datasetOf(rows)), same.predict(datasetOf(rows))];
      scores.forEach((score, r) => {
        expect(Math.abs(score - wanted[r]!)).toBeLessThanOrEqual(3e-6 * Math.max(1, Math.abs(wanted[r]!)));
      });
      const first = rows.find(({ slots }) => slots.length > 2)!.slots;
      const part = (slots: typeof first) => ({
        features: slots.map((s) => s.feature),
        values: slots.map((s) => s.value),
      });
      const ranking = small.rank(part(first.slice(0, 2)), [part(first.slice(2)), part(first.slice(2))]);
      expect(ranking.scores[0]).toBeCloseTo(small.predict(datasetOf([{ label: 0, slots: first }]))[0]!, 5);
      const why = small.explain(part(first));
      const wantedWhy = same.explain(part(first));
      expect(why.linear).toEqual(wantedWhy.linear);
      why.pairs.forEach(({ contribution }, p) => {
        expect(contribution).toBeCloseTo(wantedWhy.pairs[p]!.contribution, 5);
      });
    }
  });

  test.each(["f16", "int8"] as const)("%s: the file comes back as it was, and is as small as it says", async (to) => {
    using model = await toModel(twin);
    using small = await quantized(model, to);
    const bytes = small.toBytes();
    using again = await Model.load(bytes);
    expect(again.toBytes()).toEqual(bytes);
    const { features: n, factors: K } = twin.config;
    const size = (m: Model) =>
      m.tensors.filter(({ name }) => name.startsWith("feature_")).reduce((sum, t) => sum + t.bytes, 0);
    expect(size(small)).toBe(to === "f16" ? 2 * n * (K + 1) : n * (K + 4 + 2));
    expect(size(model)).toBe(4 * n * (K + 1));
  });
});

test("int8: no value is off by more than half a step of its row", async () => {
  using model = await toModel(models[3]!.model);
  using small = await quantized(model, "int8");
  const [before, after] = [model.tensor("feature_embeddings"), small.tensor("feature_embeddings")];
  const K = 64;
  for (let j = 0; j < 40; j++) {
    const row = before.subarray(j * K, (j + 1) * K);
    const step = Math.max(...row.map(Math.abs)) / 127;
    row.forEach((x, k) => {
      expect(Math.abs(x - after[j * K + k]!)).toBeLessThanOrEqual(0.5001 * step);
    });
  }
});

test("a row of zeros has the scale 0", async () => {
  const [scale, lanes] = quantizeTensors(
    [{ name: "feature_embeddings", shape: [2, 2], data: Float32Array.of(0, 0, 1, -2) }],
    "int8",
  );
  expect(scale!.data).toEqual(Float32Array.of(0, 2 / 127));
  // 63.5 is between two whole numbers; the even one is 64.
  expect(lanes!.data).toEqual(Int8Array.of(0, 0, 64, -127));
});

test("what no 16-bit float can be is refused", () => {
  const tensors = [{ name: "feature_bias", shape: [1], data: Float32Array.of(70000) }];
  expect(() => quantizeTensors(tensors, "f16")).toThrow("tensor feature_bias: expected values up to 65504 for f16");
});

test("training starts from the numbers that a small model stands for", async () => {
  const { model: twin } = models[0]!;
  using model = await toModel(twin);
  using small = await quantized(model, "int8");
  const random = new Random(1);
  const rows = rowsOf(twin.config, 20, random.int(100), { upTo: 5, ones: true });
  const trainer = await createTrainer({
    init: small,
    model: { model: "fm", factors: 5 },
    train: { epochs: 0 },
    data: { train: datasetOf(rows) },
  });
  for await (const event of trainer) expect(event).toBeDefined();
  using started = trainer.model();
  const { "feature_embeddings.scale": _, ...wanted } = weights(small);
  expect(weights(started)).toEqual(wanted);
  trainer.dispose();
});

test("a table of one type and weights of another are refused by name", async () => {
  using model = await toModel(models[0]!.model);
  const tensors = model.tensors.map(({ name, shape }) => ({ name, shape, data: model.tensor(name) }));
  const mixed = quantizeTensors(tensors, "f16").map((tensor) =>
    tensor.name === "feature_bias" ? tensors.find(({ name }) => name === "feature_bias")! : tensor,
  );
  const error = await errorOf(Model.load(encodeModel(model.config, {}, mixed)));
  expect([error.code, error.message]).toEqual(["IFM_MODEL", "tensor feature_bias: expected dtype F16, found F32"]);
});
