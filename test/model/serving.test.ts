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
