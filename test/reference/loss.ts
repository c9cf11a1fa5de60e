import type { LossKind, Reduction } from "./types.js";

/** The label as ±1: 0 is −1 (MODELS.md, Loss). */
export function signOfLabel(label: number): number {
  return label > 0 ? 1 : -1;
}

/** log(1 + exp(x)) without overflow. */
export function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** 1 / (1 + exp(−x)) */
export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** squared: ½ (y − ŷ)²;  logistic: log(1 + exp(−yŷ)), y = ±1 */
export function rowLoss(loss: LossKind, label: number, score: number): number {
  return loss === "squared" ? 0.5 * (label - score) ** 2 : softplus(-signOfLabel(label) * score);
}

/** ∂/∂ŷ.  squared: ŷ − y;  logistic: −y / (1 + exp(yŷ)) */
export function rowLossSlope(loss: LossKind, label: number, score: number): number {
  if (loss === "squared") return score - label;
  const y = signOfLabel(label);
  return -y * sigmoid(-y * score);
}

/** The loss of a batch, as a sum or a mean over its rows, and its gradient with respect to every score. */
export function batchLoss(
  loss: LossKind,
  reduction: Reduction,
  labels: readonly number[],
  scores: readonly number[],
): { loss: number; dScores: number[] } {
  const divisor = reduction === "mean" ? labels.length : 1;
  let sum = 0;
  labels.forEach((label, i) => {
    sum += rowLoss(loss, label, scores[i]);
  });
  return {
    loss: sum / divisor,
    dScores: labels.map((label, i) => rowLossSlope(loss, label, scores[i]) / divisor),
  };
}
