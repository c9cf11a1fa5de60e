import { describe, expect, test } from "vitest";
import type { TrainOptions } from "../../src/train/trainer.js";
import {
  allPairs,
  batchGradient,
  fieldForward,
  type Pair,
  type RefModel,
  type RefRow,
  rmse,
} from "../reference/index.js";
import { assertClose, assertSameBits, nearly } from "../support/compare.js";
import { BUILDS } from "../support/memory.js";
import {
  assertTensors,
  configOf,
  datasetOf,
  dropoutOptions,
  modelOf,
  rowsOf,
  TestSession,
} from "../support/session.js";
import { toModel } from "../support/train.js";

/** The pairs that the last batch looked at, from the kernels' list. */
function activePairs({ session, desc }: TestSession): Pair[] {
  const list = new Uint32Array(session.memory.buffer, desc.get("active"), 3 * desc.get("activeCount"));
  const laneBytes = 4 * desc.get("Kp");
  return Array.from({ length: list.length / 3 }, (_, i) => [list[3 * i]! / laneBytes, list[3 * i + 1]! / laneBytes]);
}

const cases = (["ifm", "deepifm"] as const).flatMap((kind) =>
  [5, 8].map((K) => {
    const config = configOf({ model: kind, factors: K, hidden: [4], features: 30 }, 6);
    const rows = rowsOf(config, 20, 2, { unknown: 3 });
    return { name: `${kind}, K = ${K}`, model: modelOf(config, 1), rows };
  }),
);

describe.each(BUILDS)("$build: sampling of pairs", ({ module }) => {
  describe.each(cases)("$name", ({ model, rows }) => {
    test.each([0.05, 0.2, 0.5, 0.9])("ratio %d: the gradient is that of the pairs that were drawn", (samplePairs) => {
      const train: TrainOptions = { optimizer: "momentum", samplePairs };
      const session = new TestSession(module, model, rows, train);
      const loss = session.trainBatch();
      const pairs = activePairs(session);
      expect(pairs.length).toBe(Math.max(1, Math.floor(samplePairs * 15)));
      const twin = gradientOf(model, rows, session, pairs);
      const divisor = session.train.reduction === "mean" ? rows.length : 1;
      assertClose("scores", session.batchScores(), nearly(twin.scores), 1e-5);
      assertClose("loss", [loss / divisor], nearly([twin.loss]), 1e-5);
      assertTensors("gradients", session.gradients(), twin.gradients, 1e-5);
    });

    test("dropout goes over the pairs that were drawn", () => {
      const session = new TestSession(module, model, rows, {
        optimizer: "momentum",
        samplePairs: 0.5,
        keep: [0.8, 0.6],
      });
      session.trainBatch();
      const pairs = activePairs(session);
      const options = maskedBy(model, rows, session, pairs);
      const { loss } = model.config;
      const { reduction } = session.train;
      const twin = batchGradient(model, rows, { loss, reduction, rowOptions: options });
      assertClose("scores", session.batchScores(), nearly(twin.scores), 1e-5);
      assertTensors("gradients", session.gradients(), twin.gradients, 1e-5);
    });

    test("begins after sampleAfter steps; prediction takes all pairs", () => {
      const options: TrainOptions = { samplePairs: 0.4, sampleAfter: 2, optimizer: "sgd", lr: 1e-9 };
      const session = new TestSession(module, model, rows, options);
      const all = session.predict(rows);
      const counts: number[] = [];
      for (let step = 0; step < 4; step++) {
        session.trainBatch();
        counts.push(activePairs(session).length);
      }
      expect(counts).toEqual([15, 15, 6, 6]);
      assertClose("scores", session.predict(rows), nearly(all), 1e-6);
      expect(activePairs(session).length).toBe(15);
    });

    test("prediction with a share of the pairs: those of the largest ‖F_p‖, whatever the step", () => {
      const session = new TestSession(module, model, rows, { optimizer: "sgd", lr: 1e-9, samplePairs: 0.3 });
      for (let step = 0; step < 3; step++) {
        session.trainBatch();
        for (const _ of session.session.scoreBlocks(datasetOf(rows), 0.4));
        expect(activePairs(session)).toEqual(largestPairs(model, 6));
        session.session.beginTraining();
      }
    });
  });

  test("one pair is drawn in proportion to ‖F_p‖²; of several none comes twice", () => {
    const config = configOf({ model: "ifm", factors: 3, features: 30 }, 4);
    const model = modelOf(config, 5);
    const rows = rowsOf(config, 2, 2);
    const session = new TestSession(module, model, rows, { optimizer: "sgd", lr: 1e-12, samplePairs: 0.17 });
    const pairs = allPairs(4);
    const norms = pairs.map(([s, t]) => fieldForward(model, s, t).reduce((sum, x) => sum + x * x, 0));
    const total = norms.reduce((sum, x) => sum + x, 0);
    const counts = new Map<string, number>();
    const draws = 4000;
    for (let step = 0; step < draws; step++) {
      session.trainBatch();
      const drawn = activePairs(session);
      expect(drawn.length).toBe(1);
      counts.set(drawn.join(), (counts.get(drawn.join()) ?? 0) + 1);
    }
    pairs.forEach((pair, p) => {
      const probability = norms[p]! / total;
      const deviation = Math.sqrt((probability * (1 - probability)) / draws);
      expect(Math.abs((counts.get(pair.join()) ?? 0) / draws - probability)).toBeLessThan(5 * deviation + 1e-3);
    });

    const several = new TestSession(module, model, rows, { optimizer: "sgd", lr: 1e-12, samplePairs: 0.7 });
    for (let step = 0; step < 100; step++) {
      several.trainBatch();
      const drawn = activePairs(several).map((pair) => pair.join());
      expect(drawn.length).toBe(4);
      expect(new Set(drawn).size).toBe(4);
      expect(drawn).toEqual([...drawn].sort());
    }
  });
});

describe.each(cases)("Model, $name", ({ model, rows }) => {
  test.each([
    [0.01, 1],
    [0.2, 3],
    [0.5, 7],
    [0.99, 14],
  ])("samplePairs %d: the twin's scores of the %i pairs with the largest ‖F_p‖", async (samplePairs, S) => {
    const program = await toModel(model);
    const pairs = largestPairs(model, S);
    const { loss } = model.config;
    const twin = batchGradient(model, rows, { loss, reduction: "sum", rowOptions: rows.map(() => ({ pairs })) });
    const data = datasetOf(rows);
    const scores = program.predict(data, { samplePairs });
    assertClose("scores", scores, nearly(twin.scores), 1e-5);
    assertSameBits("scores of a second call", program.predict(data, { samplePairs }), scores);
    // The record does not tell the training labels: clipped to those of the rows.
    expect(program.evaluate(data, { samplePairs }).rmse).toBeCloseTo(
      rmse(
        rows.map(({ label }) => label),
        [...scores],
        { min: -1, max: 1 },
      ),
      12,
    );
  });

  test("samplePairs 1 is all pairs, to the bit, also after fewer", async () => {
    const program = await toModel(model);
    const data = datasetOf(rows);
    const all = program.predict(data);
    const metrics = program.evaluate(data);
    expect(program.predict(data, { samplePairs: 0.5 })).not.toEqual(all);
    assertSameBits("scores", program.predict(data, { samplePairs: 1 }), all);
    expect(program.evaluate(data, { samplePairs: 0.5 })).not.toEqual(metrics);
    expect(program.evaluate(data, { samplePairs: 1 })).toEqual(metrics);
    assertSameBits("scores", program.predict(data), all);
  });

  test.each([0, 1.5, Number.NaN])("refuses samplePairs %d", async (samplePairs) => {
    const program = await toModel(model);
    const data = datasetOf(rows);
    for (const call of [() => program.predict(data, { samplePairs }), () => program.evaluate(data, { samplePairs })]) {
      expect(call).toThrow(
        expect.objectContaining({
          code: "IFM_USAGE",
          message: expect.stringContaining("samplePairs: expected a number > 0 and <= 1"),
        }),
      );
    }
  });
});

test.each(["fm", "afm", "inn"] as const)("%s has no pairs to choose from", async (kind) => {
  const config = configOf({ model: kind, hidden: [4] }, 3);
  const program = await toModel(modelOf(config, 1));
  const data = datasetOf(rowsOf(config, 5, 2, { upTo: 3 }));
  const refusal = { code: "IFM_USAGE", message: `samplePairs: ifm and deepifm sample, ${kind} does not` };
  expect(() => program.predict(data, { samplePairs: 0.5 })).toThrow(expect.objectContaining(refusal));
  expect(() => program.evaluate(data, { samplePairs: 0.5 })).toThrow(expect.objectContaining(refusal));
  expect(program.predict(data, { samplePairs: 1 })).toEqual(program.predict(data));
});

/** The S pairs with the largest ‖F_p‖, in the order of the pairs. */
function largestPairs(model: RefModel, S: number): Pair[] {
  const norm = ([s, t]: Pair) => fieldForward(model, s, t).reduce((sum, x) => sum + x * x, 0);
  const all = allPairs(model.config.fieldOfSlot.length);
  const largest = new Set(all.toSorted((a, b) => norm(b) - norm(a)).slice(0, S));
  return all.filter((pair) => largest.has(pair));
}

function gradientOf(model: RefModel, rows: RefRow[], { train }: TestSession, pairs: Pair[]) {
  const { loss } = model.config;
  return batchGradient(model, rows, { loss, reduction: train.reduction, rowOptions: rows.map(() => ({ pairs })) });
}

/**
 * Masks number the pairs of a row in the kernels' list. dropoutOptions makes them for all pairs; here the known ones of
 * those drawn take the first numbers.
 */
function maskedBy(model: RefModel, rows: RefRow[], { train }: TestSession, pairs: Pair[]) {
  const { factors: K, features: n } = model.config;
  const known = rows.map(({ label, slots }) => ({ label, slots: slots.map((slot) => ({ ...slot, feature: 0 })) }));
  // With every feature known, number i of the list is pair i: the mask of the i-th pair drawn.
  return dropoutOptions(model.config, train, 0, known).map(({ dropout }, b) => {
    const [weights, products] = dropout!;
    const { slots } = rows[b]!;
    const listed = pairs.filter(([s, t]) => slots[s]!.feature < n && slots[t]!.feature < n);
    const moved = { weights: [...weights!.mask], products: [...products!.mask] };
    listed.forEach(([s, t], i) => {
      const p = allPairs(6).findIndex(([a, b]) => a === s && b === t);
      moved.weights[p] = weights!.mask[i]!;
      for (let k = 0; k < K; k++) moved.products[p * K + k] = products!.mask[i * K + k]!;
    });
    return {
      pairs,
      dropout: [
        { mask: moved.weights, keep: weights!.keep },
        { mask: moved.products, keep: products!.keep },
      ] as const,
    };
  });
}
