import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { TrainOptions } from "../../src/train/trainer.js";
import { cloneModel, initialState, predict, readLibfm, readModel, trainStep } from "../reference/index.js";
import { assertClose, nearly } from "../support/compare.js";
import { BUILDS } from "../support/memory.js";
import {
  assertTensors,
  configOf,
  dropoutOptions,
  modelOf,
  rowsOf,
  TestSession,
  twinOptimizer,
} from "../support/session.js";
import { pad4 } from "../support/sweep.js";

const TRAININGS: { name: string; train: TrainOptions }[] = [
  { name: "sgd", train: { optimizer: "sgd", lr: 0.01 } },
  { name: "momentum, dropout", train: { optimizer: "momentum", lr: 0.005, keep: [1, 0.7], reduction: "mean" } },
  { name: "sgd, clipped", train: { optimizer: "sgd", lr: 0.1, clipNorm: 1 } },
];

describe.each(BUILDS)("$build: FM with batch norm", ({ module }) => {
  describe.each(TRAININGS)("$name", ({ train }) => {
    test.each([1, 2, 3, 4, 5, 7, 8, 13, 16, 17])("K = %i: four steps of training and prediction in between", (K) => {
      const config = configOf({ model: "fm", factors: K });
      const model = modelOf(config, K, true);
      const rows = rowsOf(config, 48, K + 1, { upTo: 5, unknown: 2 });
      const session = new TestSession(module, model, rows, train);
      const twin = cloneModel(model);
      const { loss } = config;
      const { reduction, clipNorm } = session.train;
      const optimizer = twinOptimizer(session.train);
      const state = initialState(twin, optimizer);
      for (let step = 0; step < 4; step++) {
        const batch = rows.slice(12 * step, 12 * (step + 1));
        const rowOptions = dropoutOptions(config, session.train, step, batch);
        const options = { loss, reduction, optimizer, rowOptions, ...(clipNorm > 0 ? { clipNorm } : {}) };
        const result = trainStep(twin, batch, options, state);
        const found = session.trainBatch(12 * step, 12) / (reduction === "mean" ? 12 : 1);
        assertClose(`loss of step ${step + 1}`, [found], nearly([result.loss]), 1e-5);
        assertClose(`scores of step ${step + 1}`, session.batchScores(12), nearly(result.scores), 1e-5);
        assertClose(`prediction after step ${step + 1}`, session.predict(rows), nearly(predict(twin, rows)), 1e-5);
      }
      const expected = Object.fromEntries(Object.entries(twin.tensors).map(([name, { data }]) => [name, data]));
      assertTensors("weights and moving statistics", session.tensors(), expected, 1e-5);
      // Padding lanes of γ, β and the moving statistics: in them dβ would be Σ dy, and β is added to the score.
      for (const { name, offset, cols, stride } of session.session.layout.tensors) {
        if (!name.startsWith("batch_norm")) continue;
        const padding = session.session.parameters().slice(offset / 4 + cols, offset / 4 + stride);
        expect([name, ...padding]).toEqual([name, ...new Array<number>(pad4(K) - K).fill(0)]);
      }
    });
  });

  test("the golden case: scores by the moving statistics", () => {
    const file = (name: string) => readFileSync(new URL(`../fixtures/golden/fm-batch-norm/${name}`, import.meta.url));
    const model = readModel(file("model.safetensors"));
    const rows = readLibfm(file("rows.libfm").toString());
    const { scores } = JSON.parse(file("expected.json").toString()) as { scores: number[] };
    assertClose("scores", new TestSession(module, model, rows).predict(rows), nearly(scores), 2e-6);
  });

  test("prediction leaves the moving statistics alone", () => {
    const config = configOf({ model: "fm", factors: 5 });
    const rows = rowsOf(config, 20, 2, { upTo: 5 });
    const session = new TestSession(module, modelOf(config, 1, true), rows);
    const before = session.session.parameters().slice();
    session.predict(rows);
    expect(session.session.parameters()).toEqual(before);
  });
});
