import { describe, expect, test } from "vitest";
import {
  type Activation,
  afm,
  allPairs,
  type BatchOptions,
  batchGradient,
  batchLoss,
  type Dropout,
  deepifm,
  dot,
  fm,
  type Gradients,
  ifm,
  inn,
  type L2,
  type LossKind,
  type ModelKind,
  type Pair,
  type RefConfig,
  type RefModel,
  type RefRow,
  type RefTensor,
  type RowOptions,
  randomDropout,
  randomModel,
  randomRows,
  rowOf,
  type TemperatureOn,
  touchedFeatures,
  twins,
  zeroGradients,
} from "./index.js";

// Hand-derived gradients against finite differences of the f64 forward pass, of the whole objective of a batch.
const TOLERANCE = 1e-7; // of the largest gradient of the tensor
const STEP = 1e-5;
const NOISE = 1e-9; // rounding of the differences: about 1e-16 · objective / STEP
const KINK_MARGIN = 1e-3; // how far every input of a ReLU stays from 0

interface Shape {
  name: string;
  config: Partial<RefConfig>;
  ones?: boolean;
  binary?: boolean;
  masks?: boolean;
  pairs?: readonly Pair[];
  unknown?: boolean;
  l2?: boolean;
  batchNorm?: boolean;
}

const shapes: Shape[] = [
  { name: "three fields, values 1", config: { fieldOfSlot: [0, 1, 2], hidden: [5] }, ones: true },
  {
    name: "K = A = K_F = 1, labels 0/1",
    config: { fieldOfSlot: [0, 1, 2], factors: 1, attentionFactors: 1, fieldFactors: 1, hidden: [3, 2] },
    binary: true,
  },
  { name: "odd K, L2", config: { fieldOfSlot: [0, 1, 2], factors: 5, attentionFactors: 2, hidden: [] }, l2: true },
  {
    name: "dropout, unknown features",
    config: { fieldOfSlot: [0, 1, 2], factors: 3, temperature: 0.5, hidden: [4] },
    masks: true,
    unknown: true,
  },
  {
    name: "slots that share a field, without their pairs",
    config: {
      fieldOfSlot: [0, 0, 1, 2],
      fields: 3,
      excludeSameField: true,
      factors: 2,
      attentionFactors: 1,
      hidden: [2],
    },
  },
  {
    name: "slots that share a field, with their pairs",
    config: { fieldOfSlot: [0, 1, 1], fields: 2, factors: 2, attentionFactors: 4, fieldFactors: 1, hidden: [3] },
  },
  {
    name: "a subset of the pairs, dropout, L2",
    config: { fieldOfSlot: [0, 1, 2, 3], fields: 4, factors: 3, attentionFactors: 2, hidden: [3] },
    pairs: [
      [1, 3],
      [0, 1],
      [2, 3],
    ],
    masks: true,
    l2: true,
  },
];

const fmShapes: Shape[] = [
  ...shapes,
  { name: "batch norm", config: { fieldOfSlot: [0, 1, 2] }, batchNorm: true },
  { name: "batch norm, dropout, K = 1", config: { fieldOfSlot: [0, 1, 2], factors: 1 }, batchNorm: true, masks: true },
  {
    name: "batch norm, dropout, L2, unknown features",
    config: { fieldOfSlot: [0, 1, 2, 3], fields: 4, factors: 5 },
    batchNorm: true,
    masks: true,
    l2: true,
    unknown: true,
  },
];

function configOf(model: ModelKind, shape: Shape, rest: Partial<RefConfig> = {}): RefConfig {
  return {
    model,
    features: 6,
    fields: 3,
    factors: 4,
    attentionFactors: 3,
    fieldFactors: 2,
    hidden: [],
    activation: "relu",
    temperature: 2,
    temperatureOn: "logits",
    loss: "squared",
    fieldOfSlot: [0, 1, 2],
    excludeSameField: false,
    ...shape.config,
    ...rest,
  };
}

interface Problem {
  model: RefModel;
  rows: RefRow[];
  options: BatchOptions;
}

function masksOf(config: RefConfig, seed: number): [Dropout, Dropout | undefined] {
  const { model, factors: K, fieldOfSlot } = config;
  const P = allPairs(fieldOfSlot.length).length;
  if (model === "fm") return [randomDropout(K, 0.6, seed), undefined];
  return [randomDropout(P, 0.7, seed), randomDropout(model === "afm" ? K : P * K, 0.8, seed + 1)];
}

function problemOf(config: RefConfig, shape: Shape, loss: LossKind, seed: number): Problem {
  const model = randomModel(config, seed, shape.batchNorm);
  const { ones = false, binary = false } = shape;
  const rows = randomRows(config, loss === "bpr" ? 4 : 3, seed + 1, { ones, binary });
  if (shape.unknown) {
    rows[0].slots[1].feature = config.features; // one slot of three or four is unknown
    rows[1].slots.forEach((slot, s) => {
      if (s > 0) slot.feature = config.features + 3; // one known slot: no pair is left
    });
  }
  const rowOptions = rows.map((_, i): RowOptions => {
    const options: RowOptions = {};
    if (shape.masks) options.dropout = masksOf(config, seed + 10 * (i + 1));
    if (shape.pairs) options.pairs = shape.pairs;
    return options;
  });
  const l2 = shape.l2 ? { embedding: 0.1, linear: 0.2, attention: 0.3, field: 0.4, hidden: 0.5 } : {};
  return { model, rows, options: { loss, reduction: seed % 2 === 0 ? "sum" : "mean", l2, rowOptions } };
}

/** Everything that enters a ReLU in the batch. */
function reluInputs({ model, rows, options }: Problem): number[] {
  const inputs: number[] = [];
  const attention = (preactivations: number[][]): void => {
    if (model.config.activation === "relu") inputs.push(...preactivations.flat());
  };
  rows.forEach((row, i) => {
    const rowOptions = options.rowOptions?.[i] ?? {};
    switch (model.config.model) {
      case "fm":
        break;
      case "afm":
        attention(afm.forward(model, row, rowOptions).attention.preactivations);
        break;
      case "ifm":
        attention(ifm.forward(model, row, rowOptions).attention.preactivations);
        break;
      case "inn": {
        const kept = inn.forward(model, row, rowOptions);
        attention(kept.attention.preactivations);
        inputs.push(...kept.mlp.preactivations.slice(0, -1).flat());
        break;
      }
      case "deepifm": {
        const kept = deepifm.forward(model, row, rowOptions);
        attention(kept.attention.preactivations);
        inputs.push(...kept.mlp.preactivations.slice(0, -1).flat());
        break;
      }
    }
  });
  return inputs;
}

/** The first problem from this seed on whose ReLUs stay away from their kink. */
function smoothProblem(config: RefConfig, shape: Shape, loss: LossKind, seed: number): Problem {
  for (let offset = 0; offset < 1000; offset++) {
    const problem = problemOf(config, shape, loss, seed + offset);
    if (reluInputs(problem).every((x) => Math.abs(x) > KINK_MARGIN)) return problem;
  }
  throw new Error("no problem away from the kinks in 1000 seeds");
}

/** The central difference (f(θ + h) − f(θ − h)) / 2h, exact to O(h²). */
function derivative(theta: Float64Array, i: number, f: () => number): number {
  const value = theta[i];
  theta[i] = value + STEP;
  const above = f();
  theta[i] = value - STEP;
  const below = f();
  theta[i] = value;
  return (above - below) / (2 * STEP);
}

function expectGradients(model: RefModel, gradients: Gradients, objective: () => number): void {
  for (const [name, gradient] of Object.entries(gradients)) {
    const theta = model.tensors[name].data;
    let largest = 0;
    let difference = 0;
    gradient.forEach((g, i) => {
      largest = Math.max(largest, Math.abs(g));
      difference = Math.max(difference, Math.abs(g - derivative(theta, i, objective)));
    });
    expect(difference, name).toBeLessThan(TOLERANCE * largest + NOISE);
  }
}

/** Loss and penalty of a training batch, by forward passes only. */
function objectiveOf({ model, rows, options }: Problem): number {
  const { loss, reduction, l2 = {}, rowOptions = [] } = options;
  const statistics = fm.hasBatchNorm(model) ? fm.batchStatistics(model, rows) : undefined;
  const scores = rows.map((row, b) =>
    statistics === undefined
      ? twins[model.config.model].score(model, row, rowOptions[b])
      : fm.forward(model, row, rowOptions[b], statistics).score,
  );
  const labels = rows.map((row) => row.label);
  return batchLoss(loss, reduction, labels, scores).loss + penaltyOf(model, rows, l2);
}

/** Σ λ · ½‖·‖², over V and w in the rows that the batch touches. */
function penaltyOf(model: RefModel, rows: readonly RefRow[], l2: L2): number {
  const { feature_embeddings, feature_bias, attention_W, interaction, factor } = model.tensors;
  const half = (tensor: RefTensor | undefined): number =>
    tensor === undefined ? 0 : 0.5 * dot(tensor.data, tensor.data);
  const kernels = Object.entries(model.tensors).filter(([name]) => name.endsWith(".kernel"));
  let penalty = (l2.attention ?? 0) * half(attention_W) + (l2.field ?? 0) * (half(interaction) + half(factor));
  for (const [, kernel] of kernels) penalty += (l2.hidden ?? 0) * half(kernel);
  for (const j of touchedFeatures(model, rows)) {
    const v = rowOf(feature_embeddings, j);
    penalty += 0.5 * (l2.embedding ?? 0) * dot(v, v) + 0.5 * (l2.linear ?? 0) * feature_bias.data[j] ** 2;
  }
  return penalty;
}

function checkBatch(problem: Problem): void {
  const { model, rows, options } = problem;
  const { loss, penalty, gradients } = batchGradient(model, rows, options);
  expect(loss + penalty).toBeCloseTo(objectiveOf(problem), 12);
  expect(Object.keys(gradients)).toEqual(Object.keys(zeroGradients(model)));
  expectGradients(model, gradients, () => objectiveOf(problem));
}

const losses: LossKind[] = ["squared", "logistic", "bpr"];
const activations: Activation[] = ["relu", "tanh", "sigmoid", "identity"];
const places: TemperatureOn[] = ["logits", "projection"];

describe("fm", () => {
  for (const loss of losses) {
    test.each(fmShapes)(`${loss}: $name`, (shape) => {
      checkBatch(smoothProblem(configOf("fm", shape), shape, loss, 1));
    });
  }

  test("batch norm with the moving statistics", () => {
    const shape: Shape = { name: "", config: {}, batchNorm: true, masks: true };
    const { model, rows, options } = problemOf(configOf("fm", shape), shape, "squared", 3);
    const rowOptions = options.rowOptions?.[0] ?? {};
    const gradients = zeroGradients(model);
    twins.fm.backward(model, rows[0], rowOptions, 1, gradients);
    expectGradients(model, gradients, () => twins.fm.score(model, rows[0], rowOptions));
  });
});

describe.each<ModelKind>(["afm", "ifm", "inn", "deepifm"])("%s", (kind) => {
  for (const loss of losses) {
    for (const temperatureOn of places) {
      describe.each(activations)(`${loss}, temperature on ${temperatureOn}, %s`, (activation) => {
        test.each(shapes)("$name", (shape) => {
          const config = configOf(kind, shape, { loss, temperatureOn, activation });
          checkBatch(smoothProblem(config, shape, loss, 1));
        });
      });
    }
  }
});
