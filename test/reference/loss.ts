import type { LossKind, Reduction } from "./types.js";

/** The losses that are sums over single rows. */
type RowLoss = Exclude<LossKind, "bpr">;

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
export function rowLoss(loss: RowLoss, label: number, score: number): number {
  return loss === "squared" ? 0.5 * (label - score) ** 2 : softplus(-signOfLabel(label) * score);
}

/** ∂/∂ŷ.  squared: ŷ − y;  logistic: −y / (1 + exp(yŷ)) */
export function rowLossSlope(loss: RowLoss, label: number, score: number): number {
  if (loss === "squared") return score - label;
  const y = signOfLabel(label);
  return -y * sigmoid(-y * score);
}

/**
 * Bayesian personalised ranking (Rendle et al. 2009): rows 2i and 2i + 1 are a pair, the first to be ranked before the
 * second; log(1 + exp(−(ŷ_2i − ŷ_2i+1))). A mean is over the pairs.
 */
function pairLoss(reduction: Reduction, scores: readonly number[]): { loss: number; dScores: number[] } {
  const divisor = reduction === "mean" ? scores.length / 2 : 1;
  const margins = scores.map((score, i) => (i % 2 === 0 ? score - scores[i + 1]! : scores[i - 1]! - score));
  return {
    loss: margins.reduce((sum, margin) => sum + softplus(-margin), 0) / 2 / divisor,
    dScores: margins.map((margin, i) => ((i % 2 === 0 ? -1 : 1) * sigmoid(-margin)) / divisor),
  };
}

/** The loss of a batch, as a sum or a mean over its rows, and its gradient with respect to every score. */
export function batchLoss(
  loss: LossKind,
  reduction: Reduction,
  labels: readonly number[],
  scores: readonly number[],
): { loss: number; dScores: number[] } {
  if (loss === "bpr") return pairLoss(reduction, scores);
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
