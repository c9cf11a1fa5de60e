import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { areaUnderCurve } from "../../src/metrics/auc.js";
import { accuracy, auc, f1, logloss, mae, rmse } from "../reference/index.js";
import { parse, plantedRows } from "../support/data.js";
import { Random } from "../support/random.js";
import { configOf, modelOf, rowsOf } from "../support/session.js";
import { toModel, train } from "../support/train.js";

/** By definition: every pair of a positive and a negative score. */
function areaByPairs(positives: Float32Array, negatives: Float32Array): number {
  let sum = 0;
  for (const p of positives) for (const n of negatives) sum += p > n ? 1 : p === n ? 0.5 : 0;
  return sum / (positives.length * negatives.length);
}

describe("areaUnderCurve", () => {
  const anyScore = fc.float({ noNaN: true });
  const fewScores = fc.constantFrom(-1, -0, 0, 0.5, 1, 2); // ties

  test.each([
    ["any scores", anyScore],
    ["few scores", fewScores],
  ] as const)("is the share of pairs in order, ties half: %s", (_, score) => {
    const scores = fc.array(score, { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(scores, scores, (p, n) => {
        const [positives, negatives] = [Float32Array.from(p), Float32Array.from(n)];
        expect(areaUnderCurve(positives.slice(), negatives.slice())).toBe(areaByPairs(positives, negatives));
      }),
      { seed: 2019, numRuns: 500 },
    );
  });

  test("does not change when all scores go through a growing function, and turns around with their signs", () => {
    const scores = fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(scores, scores, (p, n) => {
        const area = (map: (x: number) => number) =>
          areaUnderCurve(Float32Array.from(p, map), Float32Array.from(n, map));
        expect(area((x) => x ** 3)).toBe(area((x) => x));
        expect(area((x) => -x)).toBeCloseTo(1 - area((x) => x), 12);
      }),
      { seed: 2019, numRuns: 200 },
    );
  });

  test("is NaN when a class is missing", () => {
    expect(areaUnderCurve(new Float32Array(0), Float32Array.from([1]))).toBeNaN();
    expect(areaUnderCurve(Float32Array.from([1]), new Float32Array(0))).toBeNaN();
  });

  test("many ties at scale: as exact as the pairs", () => {
    const random = new Random(1);
    const scores = (count: number) => Float32Array.from({ length: count }, () => random.int(20));
    const [positives, negatives] = [scores(3000), scores(2000)];
    expect(areaUnderCurve(positives.slice(), negatives.slice())).toBe(areaByPairs(positives, negatives));
  });
});

test("areaUnderCurve: any floats at scale, as exact as the pairs", () => {
  const random = new Random(2);
  const odd = [0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e-45, -1e-45];
  const scores = (count: number) =>
    Float32Array.from({ length: count }, () => (random.int(50) ? random.value() ** 15 : odd[random.int(odd.length)]!));
  const [positives, negatives] = [scores(1500), scores(2500)];
  expect(areaUnderCurve(positives.slice(), negatives.slice())).toBe(areaByPairs(positives, negatives));
});

test("areaUnderCurve: scores that are not numbers come last, as the engine sorts", () => {
  const random = new Random(3);
  const scores = random.values(1000, -1, 1).map((x, i) => (i % 9 ? x : Number.NaN));
  const sorted = scores.slice().sort();
  areaUnderCurve(scores, new Float32Array(1));
  expect(scores).toEqual(sorted);
});

describe.each(["squared", "logistic"] as const)("evaluate, %s loss", (loss) => {
  const kinds = ["fm", "ifm"] as const;

  test.each(kinds)("%s: the metrics of the twin", async (kind) => {
    const config = configOf({ model: kind, loss, features: 9, factors: 3 }, 3);
    const model = await toModel(modelOf(config, 1));
    // Few features, one slot in three rows: scores repeat, so that there are ties.
    const rows = rowsOf(config, 400, 2, { upTo: 3, ones: true });
    const data = await parse(rows);
    const scores = [...model.predict(data)];
    expect(new Set(scores).size).toBeLessThan(400);
    const labels = rows.map(({ label }) => label);
    const range = { min: -1, max: 1 };
    const metrics = model.evaluate(data);
    expect(metrics.rows).toBe(400);
    expect(metrics.rmse).toBeCloseTo(rmse(labels, scores, range), 12);
    expect(metrics.mae).toBeCloseTo(mae(labels, scores, range), 12);
    expect(metrics.logloss).toBeCloseTo(logloss(labels, scores), 12);
    expect(metrics.auc).toBe(auc(labels, scores));
    expect(metrics.accuracy).toBe(accuracy(labels, scores));
    expect(metrics.f1).toBe(f1(labels, scores));
  });

  test.each(kinds)(
    "%s: the same with labels 0 and 1, but for errors and where squared scores are cut",
    async (kind) => {
      const config = configOf({ model: kind, loss, features: 9, factors: 3 }, 3);
      const model = await toModel(modelOf(config, 1));
      const rows = rowsOf(config, 200, 2, { upTo: 3, labels: [0, 1] });
      const data = await parse(rows);
      const scores = [...model.predict(data)];
      const labels = rows.map(({ label }) => label);
      const cut = loss === "logistic" ? 0 : 0.5;
      const metrics = model.evaluate(data);
      expect(metrics.rmse).toBeCloseTo(rmse(labels, scores, { min: 0, max: 1 }), 12);
      expect(metrics.mae).toBeCloseTo(mae(labels, scores, { min: 0, max: 1 }), 12);
      expect(metrics.logloss).toBeCloseTo(logloss(labels, scores), 12);
      expect(metrics.auc).toBe(auc(labels, scores));
      expect(metrics.accuracy).toBe(accuracy(labels, scores, cut));
      expect(metrics.f1).toBe(f1(labels, scores, cut));
    },
  );
});

describe("evaluate", () => {
  const config = configOf({ model: "fm", features: 9, factors: 3 });

  test("labels of more than two values: errors only", async () => {
    const model = await toModel(modelOf(config, 1));
    const rows = rowsOf(config, 50, 2, { upTo: 3, labels: [1, 2, 3.5] });
    const data = await parse(rows);
    const scores = [...model.predict(data)];
    const labels = rows.map(({ label }) => label);
    const range = { min: 1, max: 3.5 };
    const metrics = model.evaluate(data);
    expect(Object.keys(metrics)).toEqual(["rows", "rmse", "mae"]);
    expect(metrics.rmse).toBeCloseTo(rmse(labels, scores, range), 12);
    expect(metrics.mae).toBeCloseTo(mae(labels, scores, range), 12);
  });

  test("more rows than are scored at once, and rows of any length: blocks do not show", async () => {
    const model = await toModel(modelOf(config, 1));
    const rows = rowsOf(config, 9000, 2, { upTo: 3 });
    const data = await parse(rows);
    const scores = model.predict(data);
    const [head, tail] = [await parse(rows.slice(0, 5000)), await parse(rows.slice(5000))];
    expect([...model.predict(head), ...model.predict(tail)]).toEqual([...scores]);
    const long = rowsOf(config, 300, 3, { upTo: 100 });
    const together = model.predict(await parse(long));
    for (const r of [0, 1, 150, 299]) expect(model.predict(await parse([long[r]!]))[0]).toBe(together[r]);
    const labels = rows.map(({ label }) => label);
    expect(model.evaluate(data).rmse).toBeCloseTo(rmse(labels, [...scores], { min: -1, max: 1 }), 12);
  });

  test("a row longer than any before makes room for itself", async () => {
    const model = await toModel(modelOf(config, 1));
    const slots = Array.from({ length: 5000 }, (_, s) => ({ feature: s % 9, value: 1 / 1024 }));
    const short = rowsOf(config, 3, 4, { upTo: 3 });
    const before = model.predict(await parse(short));
    const [long, ...others] = model.predict(await parse([{ label: 1, slots }, ...short]));
    expect(others).toEqual([...before]);
    // The same sums with each feature once: 556 or 555 times 1/1024; pairs of a feature with itself count, too.
    expect(Number.isFinite(long)).toBe(true);
    expect(model.predict(await parse(short))).toEqual(before);
  });

  test("link and clip", async () => {
    const rows = plantedRows(200, 1, 0);
    const data = await parse(rows);
    const { model } = await train({ model: { model: "fm", factors: 4 }, data: { train: data }, train: { lr: 0.5 } });
    const raw = model.predict(data);
    expect(raw.some((score) => score < 0 || score > 1)).toBe(true);
    expect(model.predict(data, { clip: true })).toEqual(raw.map((score) => Math.min(1, Math.max(0, score))));
    expect(model.predict(data, { link: "sigmoid" })).toEqual(raw.map((score) => 1 / (1 + Math.exp(-score))));
    const bare = await toModel(modelOf(config, 1));
    expect(() => bare.predict(data, { clip: true })).toThrow(expect.objectContaining({ code: "IFM_USAGE" }));
  });
});

describe("metrics of the epochs", () => {
  const rows = plantedRows(200, 1);

  test("evaluateTrain: those of the training rows after the epoch", async () => {
    const data = { train: await parse(rows) };
    const options = { model: { model: "ifm" as const, factors: 4 }, data, train: { epochs: 3, batchSize: 50 } };
    const separate = await train({ ...options, evaluateTrain: true });
    expect(separate.model.evaluate(data.train)).toEqual(separate.epochs[2]!.train);
    const ofPass = await train(options);
    expect(ofPass.epochs.map(({ loss }) => loss)).toEqual(separate.epochs.map(({ loss }) => loss));
    expect(ofPass.epochs[0]!.train.rmse).toBeGreaterThan(separate.epochs[0]!.train.rmse);
  });

  test("of the pass itself: with one batch and no steps they are those of the initial model", async () => {
    const data = { train: await parse(rows) };
    const init = await toModel(modelOf(configOf({ model: "fm", features: 18, factors: 4 }), 1));
    const { epochs } = await train({ data, init, train: { epochs: 1, batchSize: 200, shuffle: false, lr: 1e-3 } });
    expect(epochs[0]!.train).toEqual(init.evaluate(data.train));
    // ½ Σ (y - ŷ)², unclipped
    const scores = init.predict(data.train);
    const loss = rows.reduce((sum, { label }, r) => sum + 0.5 * (label - scores[r]!) ** 2, 0);
    expect(epochs[0]!.loss).toBeCloseTo(loss, 9);
  });

  test("reduction mean: the loss is a mean over the rows", async () => {
    const data = { train: await parse(rows) };
    const init = await toModel(modelOf(configOf({ model: "fm", features: 18, factors: 4 }), 1));
    const of = async (reduction: "sum" | "mean") =>
      (await train({ data, init, train: { epochs: 1, batchSize: 200, reduction } })).epochs[0]!.loss;
    expect(await of("mean")).toBeCloseTo((await of("sum")) / 200, 12);
  });
});
