import type { TrainOptions } from "../../src/train/trainer.js";
import { type BatchResult, batchGradient, predict, type RefModel, type RefRow } from "../reference/index.js";
import { assertClose, nearly } from "./compare.js";
import { assertTensors, configOf, dropoutOptions, modelOf, rowsOf, TestSession } from "./session.js";
import { ACTIVATIONS, ATTENTION_FACTORS, describeShape, FACTORS, FIELD_FACTORS, SLOTS, sweep } from "./sweep.js";

/*
 * Whole batches of both models over all shapes, against the f64 twin.
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

export const fmShapes = sweep({ K: FACTORS, slots: SLOTS, deal: [1, 2] }, { ...training, rows: [1, 7, 20] });

export const ifmShapes = sweep(
  { K: FACTORS, slots: SLOTS, deal: [1, 2, 3, 4] },
  {
    ...training,
    rows: [1, 5, 9],
    A: ATTENTION_FACTORS,
    KF: FIELD_FACTORS,
    activation: ACTIVATIONS,
    temperatureOn: ["logits", "projection"],
    temperature: [0.5, 1, 3, 10],
    fields: ["own", "shared", "shared, excluded"],
  },
);

export type Shape = ((typeof fmShapes)[number] | (typeof ifmShapes)[number]) & { A?: number };

function configFor(shape: Shape) {
  const { K, slots, loss } = shape;
  if (!("A" in shape && "KF" in shape)) return configOf({ model: "fm", factors: K, loss });
  const shared = shape.fields !== "own";
  return configOf({
    model: "ifm",
    factors: K,
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
  const model = modelOf(config, seed);
  const labels = shape.loss === "logistic" ? [0, 1] : [-1, 1, 2.5];
  const { ones, unknown, slots: upTo } = shape;
  const rows = rowsOf(config, shape.rows, seed + 1, { ones, unknown, upTo, labels });
  const lambda = shape.l2;
  const l2 = { embedding: lambda, linear: lambda / 2, attention: 2 * lambda, field: lambda / 4, hidden: 0 };
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
  module: WebAssembly.Module,
  shape: Shape,
  seed: number,
  watch: { before?: (session: TestSession) => void; after?: (session: TestSession, what: string) => void } = {},
): void {
  const what = describeShape(shape);
  const { model, rows, train } = caseOf(shape, seed);
  const session = new TestSession(module, model, rows, train);
  watch.before?.(session);
  const { batch, scores } = twinOf(shape, session, model, rows);
  assertClose(`${what}: scores`, session.predict(rows), nearly(scores), TOLERANCE);
  const loss = session.trainBatch();
  const divisor = shape.reduction === "mean" ? rows.length : 1;
  assertClose(`${what}: training scores`, session.batchScores(), nearly(batch.scores), TOLERANCE);
  assertClose(`${what}: loss`, [loss / divisor], nearly([batch.loss]), TOLERANCE);
  assertTensors(what, session.gradients(), batch.gradients, TOLERANCE);
  watch.after?.(session, what);
}
