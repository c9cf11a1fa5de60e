import { dropoutScale } from "./dropout.js";
import { isKnown, linearBackward, linearForward } from "./linear.js";
import { embedding, fmPairwiseBackward, fmSumSquare } from "./pairwise.js";
import { rowOfData, zeros } from "./tensors.js";
import type { Gradients, RefModel, RefRow, RowOptions } from "./types.js";

/** Batch normalisation of z   (MODELS.md, FM; Ioffe and Szegedy 2015) */
export const BATCH_NORM_EPSILON = 1e-3;
export const BATCH_NORM_DECAY = 0.9;

/** Mean and (biased) variance of z, K values each: over a batch in training, the moving ones at evaluation. */
export interface Statistics {
  mean: ArrayLike<number>;
  variance: ArrayLike<number>;
}

export interface FmKept {
  score: number;
  slots: number[]; // the slots with a known feature
  u: number[][]; // per such slot: V[j_s] x_s
  z: number[]; // K
  normalized: number[]; // ẑ = (z − mean)/√(variance + ε); z itself without batch normalisation
  scale: number[]; // dropout factors, K
}

export function hasBatchNorm(model: RefModel): boolean {
  return "batch_norm.gamma" in model.tensors;
}

function movingStatistics(model: RefModel): Statistics {
  return {
    mean: model.tensors["batch_norm.moving_mean"].data,
    variance: model.tensors["batch_norm.moving_variance"].data,
  };
}

/**
 * y = linear + Σ_k z_k,   z = Σ_p e_p = ½[(Σ_s V x)² − Σ_s (V x)²]   (Rendle 2010, lemma 3.1)
 * With batch normalisation z becomes γ ẑ + β. Dropout comes last, on the K lanes.
 * @param statistics those of the batch when training with batch normalisation; the moving ones by default
 */
export function forward(
  model: RefModel,
  row: RefRow,
  options: RowOptions = {},
  statistics: Statistics | undefined = hasBatchNorm(model) ? movingStatistics(model) : undefined,
): FmKept {
  const K = model.config.factors;
  const slots = row.slots.flatMap((slot, s) => (isKnown(model, slot.feature) ? [s] : []));
  const u = slots.map((s) => embedding(model, row, s));
  const z = fmSumSquare(u, K);
  const scale = dropoutScale(options.dropout?.[0], K);

  let normalized = z;
  let output = z;
  if (statistics !== undefined) {
    const gamma = model.tensors["batch_norm.gamma"].data;
    const beta = model.tensors["batch_norm.beta"].data;
    const { mean, variance } = statistics;
    normalized = z.map((zk, k) => (zk - mean[k]) / Math.sqrt(variance[k] + BATCH_NORM_EPSILON));
    output = normalized.map((zk, k) => gamma[k] * zk + beta[k]);
  }

  let score = linearForward(model, row);
  for (let k = 0; k < K; k++) score += scale[k] * output[k];
  return { score, slots, u, z, normalized, scale };
}

/** dV[j_s] += x_s ∂z/∂u_s dz,  from dz. */
function embeddingsBackward(model: RefModel, row: RefRow, kept: FmKept, dz: readonly number[], into: Gradients): void {
  const K = model.config.factors;
  const du = fmPairwiseBackward(kept.u, dz);
  kept.slots.forEach((s, i) => {
    const { feature, value } = row.slots[s];
    const dv = rowOfData(into.feature_embeddings, feature, K);
    for (let k = 0; k < K; k++) dv[k] += du[i][k] * value;
  });
}

/**
 * Backward of one row in which the statistics, if any, are constants (evaluation):
 *   dout_k = dŷ · scale_k;  dβ += dout;  dγ += dout ẑ;  dz = dout γ / √(variance + ε)
 */
export function backward(model: RefModel, row: RefRow, kept: FmKept, dScore: number, into: Gradients): void {
  linearBackward(model, row, dScore, into);
  let dz = kept.scale.map((scale) => dScore * scale);
  if (hasBatchNorm(model)) {
    const gamma = model.tensors["batch_norm.gamma"].data;
    const { variance } = movingStatistics(model);
    dz.forEach((dOut, k) => {
      into["batch_norm.beta"][k] += dOut;
      into["batch_norm.gamma"][k] += dOut * kept.normalized[k];
    });
    dz = dz.map((dOut, k) => (dOut * gamma[k]) / Math.sqrt(variance[k] + BATCH_NORM_EPSILON));
  }
  embeddingsBackward(model, row, kept, dz, into);
}

/** Mean and variance of z over a batch: mean_k = 1/B Σ z_k,  variance_k = 1/B Σ (z_k − mean_k)² */
export function batchStatistics(model: RefModel, rows: readonly RefRow[]): Statistics {
  const K = model.config.factors;
  const B = rows.length;
  const z = rows.map((row) => forward(model, row).z);
  const mean = zeros(K);
  const variance = zeros(K);
  for (let k = 0; k < K; k++) {
    for (const zb of z) mean[k] += zb[k] / B;
    for (const zb of z) variance[k] += (zb[k] - mean[k]) ** 2 / B;
  }
  return { mean, variance };
}

/**
 * Backward of a batch normalised by its own statistics, which depend on every row   (Ioffe and Szegedy 2015, §3):
 *   dẑ_b = dŷ_b scale_b γ;   dz_b = [dẑ_b − mean_b(dẑ) − ẑ_b mean_b(dẑ ẑ)] / √(variance + ε)
 */
export function backwardBatch(
  model: RefModel,
  rows: readonly RefRow[],
  kepts: readonly FmKept[],
  statistics: Statistics,
  dScores: readonly number[],
  into: Gradients,
): void {
  const K = model.config.factors;
  const B = rows.length;
  const gamma = model.tensors["batch_norm.gamma"].data;
  const dz = rows.map(() => zeros(K));
  for (let k = 0; k < K; k++) {
    const dOut = kepts.map((kept, b) => dScores[b] * kept.scale[k]);
    const dNormalized = dOut.map((d) => d * gamma[k]);
    let mean = 0;
    let meanOfProduct = 0;
    for (let b = 0; b < B; b++) {
      into["batch_norm.beta"][k] += dOut[b];
      into["batch_norm.gamma"][k] += dOut[b] * kepts[b].normalized[k];
      mean += dNormalized[b] / B;
      meanOfProduct += (dNormalized[b] * kepts[b].normalized[k]) / B;
    }
    for (let b = 0; b < B; b++) {
      dz[b][k] =
        (dNormalized[b] - mean - kepts[b].normalized[k] * meanOfProduct) /
        Math.sqrt(statistics.variance[k] + BATCH_NORM_EPSILON);
    }
  }
  rows.forEach((row, b) => {
    linearBackward(model, row, dScores[b], into);
    embeddingsBackward(model, row, kepts[b], dz[b], into);
  });
}

/** moving = 0.9 moving + 0.1 of the batch, after a training step. */
export function updateMovingStatistics(model: RefModel, batch: Statistics): void {
  const mean = model.tensors["batch_norm.moving_mean"].data;
  const variance = model.tensors["batch_norm.moving_variance"].data;
  for (let k = 0; k < model.config.factors; k++) {
    mean[k] = BATCH_NORM_DECAY * mean[k] + (1 - BATCH_NORM_DECAY) * batch.mean[k];
    variance[k] = BATCH_NORM_DECAY * variance[k] + (1 - BATCH_NORM_DECAY) * batch.variance[k];
  }
}
