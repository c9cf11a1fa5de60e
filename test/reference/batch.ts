import { clipGlobalNorm } from "./clip.js";
import * as fm from "./fm.js";
import { isKnown } from "./linear.js";
import { batchLoss } from "./loss.js";
import { twins } from "./models.js";
import { ADAGRAD_INITIAL, adagrad, adam, type FtrlSettings, ftrl, ftrlInitialZ, momentum, sgd } from "./optimizer.js";
import { addL2, isTable, type L2 } from "./regularization.js";
import { rowOfData, zeroGradients } from "./tensors.js";
import type { Gradients, LossKind, Reduction, RefModel, RefRow, RowOptions } from "./types.js";

export interface BatchOptions {
  loss: LossKind;
  reduction: Reduction;
  l2?: L2;
  /** Dropout masks and pairs of each row. */
  rowOptions?: readonly RowOptions[];
}

export interface BatchResult {
  loss: number; // of the data, without the penalty
  penalty: number; // L2
  scores: number[];
  gradients: Gradients; // of loss + penalty; the occurrences of a feature are summed
  touched: number[]; // the distinct known features of the batch, ascending
  statistics: fm.Statistics | undefined; // of z over the batch, with batch normalisation
}

/** The distinct known features of the rows, ascending. */
export function touchedFeatures(model: RefModel, rows: readonly RefRow[]): number[] {
  const features = rows.flatMap((row) => row.slots.map((slot) => slot.feature));
  return [...new Set(features)].filter((feature) => isKnown(model, feature)).sort((a, b) => a - b);
}

/** Loss, scores and gradients of a training batch; with batch normalisation by the statistics of the batch. */
export function batchGradient(model: RefModel, rows: readonly RefRow[], options: BatchOptions): BatchResult {
  const { loss: kind, reduction, l2 = {} } = options;
  const rowOptions = options.rowOptions ?? rows.map(() => ({}));
  const labels = rows.map((row) => row.label);
  const gradients = zeroGradients(model);
  const touched = touchedFeatures(model, rows);

  if (fm.hasBatchNorm(model)) {
    const statistics = fm.batchStatistics(model, rows);
    const kepts = rows.map((row, b) => fm.forward(model, row, rowOptions[b], statistics));
    const scores = kepts.map((kept) => kept.score);
    const { loss, dScores } = batchLoss(kind, reduction, labels, scores);
    fm.backwardBatch(model, rows, kepts, statistics, dScores, gradients);
    const penalty = addL2(model, l2, touched, gradients);
    return { loss, penalty, scores, gradients, touched, statistics };
  }

  const twin = twins[model.config.model];
  const scores = rows.map((row, b) => twin.score(model, row, rowOptions[b]));
  const { loss, dScores } = batchLoss(kind, reduction, labels, scores);
  rows.forEach((row, b) => {
    twin.backward(model, row, rowOptions[b], dScores[b], gradients);
  });
  const penalty = addL2(model, l2, touched, gradients);
  return { loss, penalty, scores, gradients, touched, statistics: undefined };
}

/** `rows`: whether the rows of V and w that a batch does not touch stand still (lazy) or decay too (exact). */
export type RowUpdate = "lazy" | "exact";

export type Optimizer =
  | { rule: "sgd"; lr: number }
  | { rule: "momentum"; lr: number; mu: number; rows: RowUpdate }
  | { rule: "adagrad"; lr: number }
  | { rule: "adam"; lr: number; beta1: number; beta2: number; epsilon: number; rows: RowUpdate }
  | { rule: "ftrl"; lr: number; beta: number; lambda1: number; lambda2: number };

/** The steps done, and per trained tensor the arrays of the rule (m; G; m, v; z, n), each like the tensor. */
export interface OptimizerState {
  step: number;
  slots: Record<string, Float64Array[]>;
}

function ftrlSettings(optimizer: Extract<Optimizer, { rule: "ftrl" }>): FtrlSettings {
  return { alpha: optimizer.lr, beta: optimizer.beta, lambda1: optimizer.lambda1, lambda2: optimizer.lambda2 };
}

function initialSlots(theta: Float64Array, optimizer: Optimizer): Float64Array[] {
  const zero = (): Float64Array => new Float64Array(theta.length);
  switch (optimizer.rule) {
    case "sgd":
      return [];
    case "momentum":
      return [zero()];
    case "adagrad":
      return [zero().fill(ADAGRAD_INITIAL)];
    case "adam":
      return [zero(), zero()];
    case "ftrl":
      return [theta.map((value) => ftrlInitialZ(value, ftrlSettings(optimizer))), zero()];
  }
}

/** The state before the first step. */
export function initialState(model: RefModel, optimizer: Optimizer): OptimizerState {
  const slots: Record<string, Float64Array[]> = {};
  for (const name of Object.keys(zeroGradients(model))) slots[name] = initialSlots(model.tensors[name].data, optimizer);
  return { step: 0, slots };
}

/** One application of the rule; `step` counts from 1. */
function applyRule(
  optimizer: Optimizer,
  step: number,
  theta: Float64Array,
  g: Float64Array,
  slots: readonly Float64Array[],
): void {
  switch (optimizer.rule) {
    case "sgd":
      sgd(theta, g, optimizer.lr);
      break;
    case "momentum":
      momentum(theta, g, slots[0], optimizer.lr, optimizer.mu);
      break;
    case "adagrad":
      adagrad(theta, g, slots[0], optimizer.lr);
      break;
    case "adam":
      adam(theta, g, slots[0], slots[1], step, optimizer);
      break;
    case "ftrl":
      ftrl(theta, g, slots[0], slots[1], ftrlSettings(optimizer));
      break;
  }
}

/** For sgd, adagrad and ftrl a zero gradient changes nothing, so that lazy and exact are the same. */
function isLazy(optimizer: Optimizer): boolean {
  return !("rows" in optimizer) || optimizer.rows === "lazy";
}

export interface StepOptions extends BatchOptions {
  optimizer: Optimizer;
  clipNorm?: number;
}

/**
 * One training step in place: gradients of loss and penalty, clipped to `clipNorm`, then one update of every tensor;
 * of V and w only the touched rows, unless the optimizer says "exact".
 */
export function trainStep(
  model: RefModel,
  rows: readonly RefRow[],
  options: StepOptions,
  state: OptimizerState,
): BatchResult {
  const result = batchGradient(model, rows, options);
  if (options.clipNorm !== undefined) clipGlobalNorm(result.gradients, options.clipNorm);
  state.step += 1;
  for (const [name, g] of Object.entries(result.gradients)) {
    const { data: theta, shape } = model.tensors[name];
    const slots = state.slots[name];
    if (isTable(name) && isLazy(options.optimizer)) {
      const columns = shape[1] ?? 1;
      const rowOf = (data: Float64Array, j: number): Float64Array => rowOfData(data, j, columns);
      for (const j of result.touched) {
        const rowSlots = slots.map((slot) => rowOf(slot, j));
        applyRule(options.optimizer, state.step, rowOf(theta, j), rowOf(g, j), rowSlots);
      }
    } else {
      applyRule(options.optimizer, state.step, theta, g, slots);
    }
  }
  if (result.statistics !== undefined) fm.updateMovingStatistics(model, result.statistics);
  return result;
}
