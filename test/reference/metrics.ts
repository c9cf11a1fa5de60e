import { signOfLabel, softplus } from "./loss.js";

/** The label range of the training data. */
export interface Range {
  min: number;
  max: number;
}

function clipped(score: number, range: Range | undefined): number {
  return range === undefined ? score : Math.min(Math.max(score, range.min), range.max);
}

/** √ mean (y − clip(ŷ))² */
export function rmse(labels: readonly number[], scores: readonly number[], range?: Range): number {
  let sum = 0;
  labels.forEach((label, i) => {
    sum += (label - clipped(scores[i], range)) ** 2;
  });
  return Math.sqrt(sum / labels.length);
}

/** mean |y − clip(ŷ)| */
export function mae(labels: readonly number[], scores: readonly number[], range?: Range): number {
  let sum = 0;
  labels.forEach((label, i) => {
    sum += Math.abs(label - clipped(scores[i], range));
  });
  return sum / labels.length;
}

/** mean log(1 + exp(−yŷ)), y = ±1: the cross-entropy of sigmoid(ŷ). */
export function logloss(labels: readonly number[], scores: readonly number[]): number {
  let sum = 0;
  labels.forEach((label, i) => {
    sum += softplus(-signOfLabel(label) * scores[i]);
  });
  return sum / labels.length;
}

/** The share of (positive, negative) pairs that are in order, by definition; a tie is half. NaN with one class only. */
export function auc(labels: readonly number[], scores: readonly number[]): number {
  let inOrder = 0;
  let pairs = 0;
  labels.forEach((a, i) => {
    labels.forEach((b, j) => {
      if (signOfLabel(a) !== 1 || signOfLabel(b) !== -1) return;
      pairs += 1;
      if (scores[i] > scores[j]) inOrder += 1;
      else if (scores[i] === scores[j]) inOrder += 0.5;
    });
  });
  return inOrder / pairs;
}

/** The share of rows whose class is right; the positive class is predicted where ŷ > threshold. */
export function accuracy(labels: readonly number[], scores: readonly number[], threshold = 0): number {
  let right = 0;
  labels.forEach((label, i) => {
    if ((signOfLabel(label) === 1) === scores[i] > threshold) right += 1;
  });
  return right / labels.length;
}

/** 2 TP / (2 TP + FP + FN) of the positive class; 0 if nothing is positive. */
export function f1(labels: readonly number[], scores: readonly number[], threshold = 0): number {
  let truePositives = 0;
  let wrong = 0;
  labels.forEach((label, i) => {
    const positive = signOfLabel(label) === 1;
    const predicted = scores[i] > threshold;
    if (positive && predicted) truePositives += 1;
    else if (positive !== predicted) wrong += 1;
  });
  return truePositives === 0 ? 0 : (2 * truePositives) / (2 * truePositives + wrong);
}
