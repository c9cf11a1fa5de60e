import { describe, expect, test } from "vitest";
import { assertSameBits } from "../support/compare.js";
import { BUILDS } from "../support/memory.js";
import { assertTensors, configOf, modelOf, repeatingRows, rowsOf, TestSession } from "../support/session.js";

// Whether the rows of a block share their pairs depends on what these are, and no score depends on it.

const shape = { factors: 64, attentionFactors: 8, features: 40 };

describe.each(BUILDS)("$build", ({ module }) => {
  describe.each(["afm", "ifm"] as const)("%s", (kind) => {
    const config = configOf({ model: kind, ...shape }, 6);
    const model = modelOf(config, 1);
    const repeating = repeatingRows(rowsOf(config, 5, 2, { unknown: 3 }), 150, 3);
    const distinct = rowsOf(config, 150, 4);

    test("the score of a row is the same alone and in a block that shares its pairs, bit for bit", () => {
      const session = new TestSession(module, model, repeating);
      session.desc.set({ first: 0, count: 64 });
      expect(session.sharedPairs()).toBeGreaterThan(0);
      const alone = repeating.map((row) => session.predict([row])[0]!);
      assertSameBits("scores", session.predict(repeating), Float32Array.from(alone));
    });

    test("nor do a row's neighbours matter that make the block share, or not", () => {
      const session = new TestSession(module, model, repeating);
      const mixed = [...repeating.slice(0, 8), ...distinct.slice(0, 56)];
      assertSameBits("scores", session.predict(mixed).subarray(0, 8), session.predict(repeating).subarray(0, 8));
    });

    test("training scores are those of prediction, bit for bit", () => {
      const session = new TestSession(module, model, repeating);
      const scores = session.predict(repeating);
      session.trainBatch();
      assertSameBits("scores", session.batchScores(), scores);
    });

    test.each([
      { factors: 64, keep: [1, 0.9] },
      { factors: 64, keep: [0.9, 0.6] },
      { factors: 130, keep: [0.9, 0.9] },
    ] as const)("with dropout they train as they do one by one, $keep of $factors", ({ factors, keep }) => {
      const wide = modelOf({ ...config, factors }, 1);
      const train = { optimizer: "momentum", momentum: 0.5, keep: [...keep] as [number, number], seed: 5 } as const;
      const [together, alone] = [0, 1].map(() => new TestSession(module, wide, repeating, train)) as [
        TestSession,
        TestSession,
      ];
      alone.desc.set({ sharedRows: 0 });
      for (const session of [together, alone]) session.trainBatch();
      assertSameBits("scores", together.batchScores(), alone.batchScores());
      assertTensors("gradients", together.gradients(), alone.gradients(), 1e-5);
      together.desc.set({ first: 0, count: 64 });
      expect([together, alone].map((session) => session.sharedPairs() > 0)).toEqual([true, false]);
    });

    test("rows whose pairs do not repeat are computed one by one", () => {
      const session = new TestSession(module, model, distinct);
      session.desc.set({ first: 0, count: 64 });
      expect(session.sharedPairs()).toBe(0);
    });

    test("so are rows with few weights of attention", () => {
      const small = configOf({ model: kind, ...shape, factors: 32 }, 6);
      expect(new TestSession(module, modelOf(small, 1), repeating).desc.get("sharedRows")).toBe(0);
    });
  });
});
