import { describe, expect, test } from "vitest";
import type { FeatureRow, Model } from "../../src/api.js";
import type { RefModel, RefRow } from "../reference/index.js";
import { Random } from "../support/random.js";
import { configOf, datasetOf, modelOf, rowsOf } from "../support/session.js";
import { toModel } from "../support/train.js";

// Rankings and explanations of whole models, against predict.

const models: { name: string; model: RefModel }[] = [
  ...[false, true].flatMap((batchNorm) =>
    [5, 8, 32, 64].map((factors) => {
      const config = configOf({ model: "fm", factors, features: 40 });
      return { name: `fm, K ${factors}${batchNorm ? ", batch norm" : ""}`, model: modelOf(config, 1, batchNorm) };
    }),
  ),
  ...(["afm", "ifm", "inn", "deepifm"] as const).flatMap((kind) =>
    [false, true].map((shared) => {
      const part = { model: kind, factors: 7, features: 40, hidden: [6, 3], loss: "logistic" as const };
      const fields = shared ? { fieldOfSlot: [0, 0, 1, 1, 2], excludeSameField: true } : {};
      return { name: shared ? `${kind}, shared fields` : kind, model: modelOf(configOf({ ...part, ...fields }, 5), 3) };
    }),
  ),
  // More pairs than are worked on at once, of the context and of candidates.
  {
    name: "ifm, K 256",
    model: modelOf(configOf({ model: "ifm", factors: 256, attentionFactors: 6, features: 40 }, 8), 6),
  },
  { name: "inn without hidden layers", model: modelOf(configOf({ model: "inn", factors: 4, features: 40 }, 4), 5) },
];

const partOf = (slots: RefRow["slots"]): FeatureRow => ({
  features: slots.map(({ feature }) => feature),
  values: slots.map(({ value }) => value),
});

/** Rows that share the slots at some positions. */
function requestOf({ config }: RefModel, count: number, options: { ones?: boolean; unknown?: number }, seed: number) {
  const random = new Random(seed);
  const isFM = config.model === "fm";
  const slots = isFM ? 6 : config.fieldOfSlot.length;
  const [shape] = rowsOf({ ...config, fieldOfSlot: Array(slots).fill(0), model: "ifm" }, 1, seed, options);
  const order = random.permutation(slots);
  const width = 1 + random.int(slots - 1);
  const places = { context: order.slice(width), candidate: order.slice(0, width) };
  if (isFM) {
    places.context = [0, 1, 2];
    places.candidate = [3, 4, 5];
  }
  const rows = rowsOf({ ...config, fieldOfSlot: Array(slots).fill(0), model: "ifm" }, count, seed + 1, options).map(
    (row) => {
      const own = row.slots.slice();
      for (const at of places.context) own[at] = shape!.slots[at]!;
      return { label: 0, slots: own };
    },
  );
  const context = { ...partOf(places.context.map((at) => shape!.slots[at]!)), slots: places.context };
  const candidates = rows.map((row) => partOf(places.candidate.map((at) => row.slots[at]!)));
  const table = {
    count,
    features: Uint32Array.from(candidates.flatMap(({ features }) => Array.from(features))),
    values: Float32Array.from(candidates.flatMap(({ values }) => Array.from(values!))),
    slots: places.candidate,
  };
  return { rows, context, table, places };
}

function expectRanking(model: Model, ranking: ReturnType<Model["rank"]>, rows: RefRow[]): void {
  const scores = model.predict(datasetOf(rows));
  expect([...ranking.indices].sort((a, b) => a - b)).toEqual(rows.map((_, r) => r));
  ranking.indices.forEach((index, i) => {
    const wanted = scores[index]!;
    expect(Math.abs(ranking.scores[i]! - wanted)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(wanted)));
    if (i === 0) return;
    const [before, own] = [ranking.scores[i - 1]!, ranking.scores[i]!];
    expect(before > own || (before === own && ranking.indices[i - 1]! < index)).toBe(true);
  });
}

describe.each(models)("$name", ({ model: twin }) => {
  test.each([1, 2, 3, 4, 5, 6])("ranks as predict scores, case %i", async (seed) => {
    using model = await toModel(twin);
    const options = { ones: seed % 2 === 0, unknown: seed % 3 === 0 ? 0 : 15 };
    const { rows, context, table } = requestOf(twin, 37, options, seed);
    const ranking = model.rank(context, table);
    expectRanking(model, ranking, rows);
    const isUnknown = (id: number) => Number(id >= twin.config.features);
    const unknown = [...Array.from(context.features), ...table.features].reduce((sum, id) => sum + isUnknown(id), 0);
    expect(ranking.unknownFeatures).toBe(unknown);
  });

  test("ranks without a context, and with nothing but one", async () => {
    using model = await toModel(twin);
    const { rows } = requestOf(twin, 7, { unknown: 15 }, 1);
    const joined = rows.map(({ slots }) => partOf(slots));
    expectRanking(model, model.rank({ features: [] }, joined), rows);
    const nothing = { features: [] };
    expectRanking(model, model.rank(joined[0]!, [nothing, nothing]), [rows[0]!, rows[0]!]);
  });

  test.each([1, 2, 3])("explains scores, case %i", async (seed) => {
    using model = await toModel(twin);
    const options = { ones: seed === 1, unknown: seed === 2 ? 0 : 10 };
    const { rows } = requestOf(twin, 20, options, seed + 10);
    const scores = model.predict(datasetOf(rows));
    rows.forEach((row, r) => {
      const why = model.explain(partOf(row.slots));
      expect(why.score).toBe(scores[r]);
      const terms = [
        why.bias,
        why.constant,
        ...why.linear,
        ...why.pairs.map(({ contribution }) => contribution),
        why.network?.baseline ?? 0,
        ...(why.network?.contributions ?? []),
      ];
      const sum = terms.reduce((total, term) => total + term, 0);
      const scale = terms.reduce((total, term) => total + Math.abs(term), 0);
      expect(Math.abs(sum - why.score)).toBeLessThanOrEqual(1e-6 * Math.max(1, scale));
      expect(why.unknownFeatures).toBe(row.slots.filter(({ feature }) => feature >= twin.config.features).length);
      if (twin.config.model !== "fm" && why.pairs.length > 0) {
        expect(why.pairs.reduce((total, { weight }) => total + weight, 0)).toBeCloseTo(1, 5);
      }
    });
  });
});

// Numbers of factors that leave nothing, one vector or two, three behind whole blocks of four.
test.each([3, 8, 12, 16, 20, 24, 28, 40])(
  "fm, K %i: behind a context that comes first are the bits of predict",
  async (factors) => {
    const twin = modelOf(configOf({ model: "fm", factors, features: 40 }), factors);
    using model = await toModel(twin);
    for (const ones of [true, false]) {
      const { rows, context, table } = requestOf(twin, 37, { ones, unknown: 5 }, factors);
      const scores = model.predict(datasetOf(rows));
      const ranking = model.rank(context, table);
      expect(ranking.scores).toEqual(Float32Array.from(ranking.indices, (index) => scores[index]!));
    }
  },
);

describe("what callers give", () => {
  const { model: twin } = models.find(({ name }) => name === "ifm")!;
  const context = { features: [1, 2, 3] };
  const errorOf = (call: () => unknown) => {
    try {
      call();
    } catch (error) {
      return error as { code: string; message: string };
    }
    throw new Error("nothing was thrown");
  };

  test("ids that no table has are unknown: they contribute nothing and are counted, whatever their size", async () => {
    using model = await toModel(twin);
    const absent = model.rank(context, [{ features: [4, 40] }]);
    for (const id of [41, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER, 1e300]) {
      const ranking = model.rank(context, [{ features: [4, id] }]);
      expect([ranking.scores, ranking.unknownFeatures]).toEqual([absent.scores, 1]);
      expect(model.explain({ features: [1, 2, 3, 4, id] }).unknownFeatures).toBe(1);
    }
    const none = model.rank(
      { features: Uint32Array.of(40, 41, 42) },
      { count: 2, features: new Uint32Array(4).fill(2 ** 32 - 1) },
    );
    expect(none.unknownFeatures).toBe(3 + 4);
    expect(Array.from(none.scores)).toEqual(Array(2).fill(model.tensor("bias")[0]));
  });

  test.each([
    ["NaN", [4, Number.NaN]],
    ["a negative number", [4, -1]],
    ["a fraction", [4, 0.5]],
    ["text", [4, "5"]],
    ["nothing", [4, undefined]],
    ["a list", [4, [5]]],
    ["infinity", new Float64Array([4, Number.POSITIVE_INFINITY])],
  ])("%s is no id", async (_, features) => {
    using model = await toModel(twin);
    const { code, message } = errorOf(() => model.rank(context, [{ features: features as number[] }]));
    expect(code).toBe("IFM_DATA");
    expect(message).toMatch(/^candidates: row 0: features\[1\]: expected a whole number from 0, found /);
    expect(errorOf(() => model.explain({ features: features as number[] })).code).toBe("IFM_DATA");
  });

  test.each([
    [
      "a value that is no number",
      { features: [4, 5], values: [1, Number.NaN] },
      "values[1]: expected a finite number, found NaN",
    ],
    [
      "a value beyond 32-bit floats",
      { features: [4, 5], values: [1, 1e300] },
      "values[1]: expected a finite number, found 1e+300",
    ],
    ["too few values", { features: [4, 5], values: [1] }, "expected 2 values, found 1"],
    ["no row", null, "row 0: expected { features, values }, found null"],
    [
      "a row of another length",
      { features: [4] },
      "rank: found 3 slots in the context and 1 in candidate 0, ifm needs 5 together",
    ],
  ])("%s is refused", async (_, row, text) => {
    using model = await toModel(twin);
    const { code, message } = errorOf(() => model.rank(context, [row as FeatureRow]));
    expect([code, message]).toEqual(["IFM_DATA", expect.stringContaining(text)]);
  });

  test.each([
    ["places that overlap", { ...context, slots: [0, 1, 1] }, { count: 1, features: [4, 5] }],
    ["a place beyond the row", { ...context, slots: [0, 1, 5] }, { count: 1, features: [4, 5] }],
    ["a table that does not fit its count", context, { count: 2, features: [4, 5, 6] }],
    ["candidates without features", context, { count: 3 } as { count: number; features: number[] }],
    ["more candidates than features", context, { count: 2 ** 40, features: [] }],
    ["a count that is none", context, { count: -1, features: [] }],
    [
      "candidates in the context's places",
      { ...context, slots: [0, 1, 2] },
      { count: 1, features: [4, 5], slots: [2, 3] },
    ],
  ])("%s: refused", async (_, shared, table) => {
    using model = await toModel(twin);
    expect(errorOf(() => model.rank(shared, table)).code).toBe("IFM_DATA");
  });

  test("no candidates are ranked as none; a topK is a whole number", async () => {
    using model = await toModel(twin);
    expect(model.rank(context, []).indices.length).toBe(0);
    expect(model.rank(context, { count: 0, features: [] }).scores.length).toBe(0);
    for (const topK of [0, -1, 1.5, Number.NaN]) {
      expect(errorOf(() => model.rank(context, [], { topK })).code).toBe("IFM_USAGE");
    }
  });

  test("more candidates than a block, and than the heap, are the same ranking", async () => {
    using model = await toModel(twin);
    const table = { count: 20_000, features: Uint32Array.from({ length: 40_000 }, (_, i) => (i * 7) % 45) };
    const all = model.rank(context, table);
    const top = model.rank(context, table, { topK: 10 });
    expect([top.indices, top.scores]).toEqual([all.indices.slice(0, 10), all.scores.slice(0, 10)]);
    const heap = model.rank(context, table, { topK: 4096 });
    expect([heap.indices, heap.scores]).toEqual([all.indices.slice(0, 4096), all.scores.slice(0, 4096)]);
  });

  test("link and clip are as in predict, and the order that of the scores", async () => {
    using model = await toModel(twin);
    const table = { count: 20, features: Uint32Array.from({ length: 40 }, (_, i) => i) };
    const raw = model.rank(context, table);
    const sure = model.rank(context, table, { link: "sigmoid" });
    expect(sure.indices).toEqual(raw.indices);
    sure.scores.forEach((p, i) => {
      expect(p).toBeCloseTo(1 / (1 + Math.exp(-raw.scores[i]!)), 6);
    });
    const [why] = model.rank(context, table, { topK: 1, explain: true }).explanations!;
    expect(why!.score).toBeCloseTo(raw.scores[0]!, 6);
  });
});
