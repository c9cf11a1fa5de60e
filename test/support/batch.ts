import type { TrainOptions } from "../../src/train/trainer.js";
import type { KernelBuild } from "../../src/wasm/load.js";
import { type BatchResult, batchGradient, predict, type RefModel, type RefRow } from "../reference/index.js";
import { assertClose, nearly } from "./compare.js";
import { assertTensors, configOf, dropoutOptions, modelOf, repeatingRows, rowsOf, TestSession } from "./session.js";
import { ACTIVATIONS, ATTENTION_FACTORS, describeShape, FACTORS, FIELD_FACTORS, SLOTS, sweep } from "./sweep.js";

/*
 * Whole batches of every model over all shapes, against the f64 twin.
 */

const TOLERANCE = 1e-5;

const training = {
  loss: ["squared", "logistic"],
  reduction: ["sum", "mean"],
  ones: [true, false],
  unknown: [0, 4],
  l2: [0, 0.125],
  keepWeights: [1, 0.75],
  keepProducts: [1, 0.5],
} as const;

const attention = {
  A: ATTENTION_FACTORS,
  KF: FIELD_FACTORS,
  activation: ACTIVATIONS,
  temperatureOn: ["logits", "projection"],
  temperature: [0.5, 1, 3, 10],
  fields: ["own", "shared", "shared, excluded"],
} as const;

const fmShapes = sweep(
  { model: ["fm"], K: FACTORS, slots: SLOTS, deal: [1, 2] },
  { ...training, rows: [1, 7, 20], batchNorm: [false] },
);

// With one or two slots nearly every z is 0 or alike in all rows, and so are the gradients.
const normShapes = sweep(
  { model: ["fm"], K: FACTORS, slots: [3, 10], deal: [1, 2] },
  { ...training, rows: [3, 7, 20], batchNorm: [true] },
);

const ifmShapes = sweep(
  { model: ["ifm"], K: FACTORS, slots: SLOTS, deal: [1, 2, 3, 4] },
  { ...training, ...attention, rows: [1, 5, 9], hidden: [""] },
);

const deepShapes = sweep(
  { model: ["afm", "inn", "deepifm"], K: FACTORS, slots: SLOTS },
  // Blocks of a network have up to 16 rows.
  { ...training, ...attention, rows: [1, 5, 18], hidden: ["", "5", "6,3"] },
);

// A block of rows computes each of its distinct pairs once.
const sharedShapes = sweep(
  { model: ["afm", "ifm"], K: [64, 256], slots: [3, 6] },
  { ...training, ...attention, A: [8, 13, 16], keepProducts: [1], rows: [16, 40, 70], repeat: [3, 4], hidden: [""] },
);

export type Shape =
  | (typeof sharedShapes)[number]
  | (typeof fmShapes)[number]
  | (typeof normShapes)[number]
  | (typeof ifmShapes)[number]
  | (typeof deepShapes)[number];

/** All shapes, and a name for those of a model. */
export const SHAPES: { name: string; shapes: Shape[] }[] = [
  { name: "fm", shapes: fmShapes },
  { name: "fm with batch norm", shapes: normShapes },
  { name: "ifm", shapes: ifmShapes },
  ...["afm", "inn", "deepifm"].map((name) => ({ name, shapes: deepShapes.filter(({ model }) => model === name) })),
  { name: "shared pairs", shapes: sharedShapes },
];

function configFor(shape: Shape) {
  const { K, slots, loss } = shape;
  if ("batchNorm" in shape) return configOf({ model: "fm", factors: K, loss });
  const shared = shape.fields !== "own";
  return configOf({
    model: shape.model,
    factors: K,
    hidden: shape.hidden === "" ? [] : shape.hidden.split(",").map(Number),
    loss,
    attentionFactors: shape.A,
    fieldFactors: shape.KF,
    activation: shape.activation,
    temperatureOn: shape.temperatureOn,
    temperature: shape.temperature,
    fieldOfSlot: Array.from({ length: slots }, (_, s) => (shared ? Math.floor(s / 2) : s)),
    excludeSameField: shape.fields === "shared, excluded",
  });
}

/** What a shape stands for, and what the twin says. */
export function caseOf(shape: Shape, seed: number) {
  const config = configFor(shape);
  const model = modelOf(config, seed, "batchNorm" in shape && shape.batchNorm);
  const labels = shape.loss === "logistic" ? [0, 1] : [-1, 1, 2.5];
  const { ones, unknown, slots: upTo } = shape;
  const some = rowsOf(config, "repeat" in shape ? shape.repeat : shape.rows, seed + 1, { ones, unknown, upTo, labels });
  const rows = "repeat" in shape ? repeatingRows(some, shape.rows, seed) : some;
  const lambda = shape.l2;
  const l2 = { embedding: lambda, linear: lambda / 2, attention: 2 * lambda, field: lambda / 4, hidden: lambda / 8 };
  const train: TrainOptions = {
    optimizer: "momentum",
    reduction: shape.reduction,
    keep: [shape.keepWeights, shape.keepProducts],
    l2,
    seed,
  };
  return { model, rows, train };
}

/** Twins are slow, and both builds need the same. */
const results = new Map<Shape, { batch: BatchResult; scores: number[] }>();

function twinOf(shape: Shape, session: TestSession, model: RefModel, rows: RefRow[]) {
  let result = results.get(shape);
  if (!result) {
    const { loss } = model.config;
    const { reduction, l2 } = session.train;
    const rowOptions = dropoutOptions(model.config, session.train, 0, rows);
    result = { batch: batchGradient(model, rows, { loss, reduction, l2, rowOptions }), scores: predict(model, rows) };
    results.set(shape, result);
  }
  return result;
}

/**
 * Scores, loss and all gradients of one batch.
 *
 * @param watch looks at the session before anything is computed, and afterwards
 * @throws Error naming shape, tensor and values
 */
export function checkBatch(
  module: KernelBuild,
  shape: Shape,
  seed: number,
  watch: { before?: (session: TestSession) => void; after?: (session: TestSession, what: string) => void } = {},
): void {
  const what = describeShape(shape);
  const { model, rows, train } = caseOf(shape, seed);
  const session = new TestSession(module, model, rows, train);
  watch.before?.(session);
  const { batch, scores } = twinOf(shape, session, model, rows);
  assertClose(`${what}: scores`, session.predict(rows), nearly(scores, 1), TOLERANCE);
  const loss = session.trainBatch();
  const divisor = shape.reduction === "mean" ? rows.length : 1;
  assertClose(`${what}: training scores`, session.batchScores(), nearly(batch.scores, 1), TOLERANCE);
  assertClose(`${what}: loss`, [loss / divisor], nearly([batch.loss]), TOLERANCE);
  assertTensors(what, session.gradients(), batch.gradients, TOLERANCE);
  watch.after?.(session, what);
}
