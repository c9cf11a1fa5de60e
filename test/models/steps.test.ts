import { describe, expect, test } from "vitest";
import type { TrainOptions } from "../../src/train/trainer.js";
import {
  batchGradient,
  cloneModel,
  globalNorm,
  initialState,
  type RefModel,
  type RefRow,
  trainStep,
} from "../reference/index.js";
import { assertClose, assertSameBits, largest, nearly } from "../support/compare.js";
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

const models: { name: string; model: RefModel; rows: RefRow[] }[] = [
  (() => {
    const config = configOf({ model: "fm", factors: 6, features: 13 });
    // Two known features or none: alone in a row, the gradient of v is 0 but for rounding, and the optimizers that
    // divide by its size make steps of that. See "a feature that is alone in its rows" below.
    const rows = rowsOf(config, 60, 2, { upTo: 5, unknown: 2 });
    const known = ({ slots }: RefRow) => slots.filter(({ feature }) => feature < config.features).length;
    return { name: "fm", model: modelOf(config, 1), rows: rows.filter((row) => known(row) !== 1).slice(0, 30) };
  })(),
  ...(["afm", "ifm", "inn", "deepifm"] as const).map((kind, i) => {
    const config = configOf(
      { model: kind, factors: 6, features: 13, hidden: [5, 3], activation: "tanh", loss: "logistic" },
      4,
    );
    return { name: kind, model: modelOf(config, 3 + i), rows: rowsOf(config, 30, 4, { unknown: 2 }) };
  }),
];

/** The same models and rows, of which each two are a pair. */
const pairwise = models.map(({ name, model, rows }) => ({
  name: `${name}, bpr`,
  model: { ...model, config: { ...model.config, loss: "bpr" as const } },
  rows,
}));

const L2 = { embedding: 0.5, linear: 0.25, attention: 0.125, field: 0.0625, hidden: 0.25 };

const optimizers: { name: string; train: TrainOptions; tolerance: number }[] = [
  { name: "sgd", train: { optimizer: "sgd", lr: 0.01 }, tolerance: 3e-6 },
  { name: "momentum", train: { optimizer: "momentum", lr: 0.01 }, tolerance: 3e-6 },
  { name: "adagrad", train: { optimizer: "adagrad", lr: 0.05 }, tolerance: 1e-5 },
  // β₂ = 0.999 is 0.99900001 in f32, so that 1 - β₂ is off by 1.3e-5; the step by half of that.
  { name: "adam, lazy", train: { optimizer: "adam", lr: 0.02 }, tolerance: 3e-5 },
  { name: "adam, exact", train: { optimizer: "adam", lr: 0.02, adam: { exact: true } }, tolerance: 3e-5 },
  { name: "ftrl", train: { optimizer: "ftrl", lr: 0.1, ftrl: { l1: 0.05, l2: 0.1 } }, tolerance: 1e-5 },
];

const extras: { name: string; train: TrainOptions }[] = [
  { name: "plain", train: {} },
  { name: "L2", train: { l2: L2 } },
  { name: "clipped", train: { clipNorm: 0.5, l2: L2 } },
  { name: "dropout, mean", train: { keep: [0.8, 0.6], reduction: "mean", seed: 77 } },
];

const STEPS = 3;
const BATCH = 10;

describe.each(BUILDS)("$build", ({ module }) => {
  describe.each([...models, ...pairwise])("$name", ({ model, rows }) => {
    describe.each(optimizers)("$name", ({ train, tolerance }) => {
      test.each(extras)(`${STEPS} steps over different rows, $name`, ({ train: extra }) => {
        const session = new TestSession(module, model, rows, { ...train, ...extra });
        const twin = cloneModel(model);
        const optimizer = twinOptimizer(session.train);
        const state = initialState(twin, optimizer);
        const { l2, reduction, clipNorm } = session.train;
        for (let step = 0; step < STEPS; step++) {
          const batch = rows.slice(step * BATCH, (step + 1) * BATCH);
          const result = trainStep(
            twin,
            batch,
            {
              loss: model.config.loss,
              reduction,
              l2,
              optimizer,
              ...(clipNorm > 0 ? { clipNorm } : {}),
              rowOptions: dropoutOptions(model.config, session.train, step, batch),
            },
            state,
          );
          const loss = session.trainBatch(step * BATCH, BATCH);
          assertClose(
            `loss of step ${step + 1}`,
            [loss / (reduction === "mean" ? BATCH / session.unit : 1)],
            nearly([result.loss]),
            1e-5,
          );
        }
        assertTensors("weights", session.tensors(), weightsOf(twin), tolerance);
      });
    });
  });
});

function weightsOf({ tensors }: RefModel): Record<string, Float64Array> {
  return Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data]));
}

describe.each(BUILDS)("$build: clipping", ({ module }) => {
  test.each(models)("$name: a limit above the norm changes no bit", ({ model, rows }) => {
    const train: TrainOptions = { optimizer: "momentum", l2: L2 };
    const norm = globalNorm(
      batchGradient(model, rows, { loss: model.config.loss, reduction: "sum", l2: L2 }).gradients,
    );
    const free = new TestSession(module, model, rows, { ...train, reduction: "sum" });
    const wide = new TestSession(module, model, rows, { ...train, reduction: "sum", clipNorm: 1.001 * norm });
    free.trainBatch();
    wide.trainBatch();
    assertSameBits("weights and states", wide.everything(), free.everything());

    const narrow = new TestSession(module, model, rows, { ...train, reduction: "sum", clipNorm: 0.25 * norm });
    narrow.trainBatch();
    assertClose("norm", [globalNorm(f64(narrow.gradients()))], nearly([0.25 * norm]), 1e-5);
  });

  test.each(models)("$name: frozen tensors do not count", ({ model, rows }) => {
    const freeze = ["feature_embeddings", "bias"];
    const { gradients } = batchGradient(model, rows, { loss: model.config.loss, reduction: "sum" });
    for (const name of freeze) gradients[name]!.fill(0);
    const norm = globalNorm(gradients);
    const options: TrainOptions = { optimizer: "momentum", reduction: "sum", clipNorm: 0.5 * norm, freeze };
    const session = new TestSession(module, model, rows, options);
    session.trainBatch();
    for (const gradient of Object.values(gradients)) gradient.set(gradient.map((g) => 0.5 * g));
    assertTensors("gradients", session.gradients(), gradients, 1e-5);
  });
});

function f64(tensors: Record<string, Float32Array>): Record<string, Float64Array> {
  return Object.fromEntries(Object.entries(tensors).map(([name, data]) => [name, Float64Array.from(data)]));
}

describe.each(BUILDS)("$build: freezing", ({ module }) => {
  describe.each(models)("$name", ({ model, rows }) => {
    const names = Object.keys(model.tensors);

    test.each(names)("%s", (name) => {
      for (const { train } of optimizers) {
        const options: TrainOptions = { ...train, l2: L2 };
        const free = new TestSession(module, model, rows, options);
        const frozen = new TestSession(module, model, rows, { ...options, freeze: [name] });
        const before = frozen.tensors();
        free.trainBatch();
        frozen.trainBatch();
        assertSameBits(`${name} with ${train.optimizer}`, frozen.tensors()[name]!, before[name]!);
        // The first step of all others does not depend on it.
        for (const other of names) {
          if (other === name) continue;
          assertSameBits(`${other} without ${name}`, frozen.tensors()[other]!, free.tensors()[other]!);
          expect(largest(frozen.tensors()[other]!.map((x, i) => x - before[other]![i]!))).toBeGreaterThan(0);
        }
      }
    });
  });
});

describe.each(BUILDS)("$build: L2 groups", ({ module }) => {
  const groups: Record<string, string[]> = {
    embedding: ["feature_embeddings"],
    linear: ["feature_bias"],
    attention: ["attention_W"],
    field: ["interaction", "factor"],
    hidden: ["mlp.0.kernel", "mlp.1.kernel", "mlp.2.kernel"],
  };

  test.each(Object.entries(groups))("%s", (group, members) => {
    for (const { model, rows } of models) {
      const gradients = [0, 0.5].map((weight) => {
        const session = new TestSession(module, model, rows, { optimizer: "momentum", l2: { [group]: weight } });
        session.trainBatch();
        return session.gradients();
      });
      const { l2, reduction } = { l2: { [group]: 0.5 }, reduction: "sum" as const };
      const { loss } = model.config;
      const mean = loss === "logistic" ? ("mean" as const) : reduction;
      assertTensors(group, gradients[1]!, batchGradient(model, rows, { loss, reduction: mean, l2 }).gradients, 1e-5);
      for (const name of Object.keys(model.tensors)) {
        const moved = largest(gradients[1]![name]!.map((g, i) => g - gradients[0]![name]![i]!)) > 0;
        expect([name, moved]).toEqual([name, members.includes(name)]);
      }
    }
  });
});

describe.each(BUILDS)("$build: a feature that is alone in its rows", ({ module }) => {
  // Its gradient of v is Σ x dz (S - x v) = 0, because S = x v. pairwiseRecordGradient sums Σ x dz S and v Σ x² dz apart
  // and subtracts, which leaves some 1e-8.
  const config = configOf({ model: "fm", factors: 8, features: 4 });
  const model = modelOf(config, 1);
  const rows: RefRow[] = [0.5, 1.25, -0.75].map((value) => ({ label: 1, slots: [{ feature: 0, value }] }));

  test("has a gradient of 0 but for rounding", () => {
    const session = new TestSession(module, model, rows, { optimizer: "momentum" });
    session.trainBatch();
    expect(largest(session.gradients().feature_embeddings!)).toBeLessThan(1e-7);
  });
});
