import { type AttentionKept, attentionBackward, attentionForward } from "./attention.js";
import { dropoutScale } from "./dropout.js";
import { linearBackward, linearForward } from "./linear.js";
import { allPairs, pairProductsBackward, type RowPair, rowPairs } from "./pairwise.js";
import { dot, zeros } from "./tensors.js";
import type { Gradients, RefModel, RefRow, RowOptions } from "./types.js";

export interface AfmKept {
  score: number;
  pairs: RowPair[]; // with e_p
  attention: AttentionKept; // logits, a_p
  weights: number[]; // per pair: a_p after dropout
  pooled: number[]; // Σ_p a_p e_p, K, before dropout
  weightScale: number[]; // dropout factors of a_p, by p
  pooledScale: number[]; // dropout factors of pooled, K
}

/** y = linear + q · Σ_p a_p e_p,  a = softmax of the attention logits   (Xiao et al. 2017, eq. 6; q is its p) */
export function forward(model: RefModel, row: RefRow, options: RowOptions = {}): AfmKept {
  const K = model.config.factors;
  const q = model.tensors.prediction.data;
  const pairs = rowPairs(model, row, options.pairs);
  const attention = attentionForward(
    model,
    pairs.map((pair) => pair.e),
  );
  const weightScale = dropoutScale(options.dropout?.[0], allPairs(row.slots.length).length);
  const pooledScale = dropoutScale(options.dropout?.[1], K);

  const weights = pairs.map((pair, i) => attention.weights[i] * weightScale[pair.index]);
  const pooled = zeros(K);
  pairs.forEach((pair, i) => {
    for (let k = 0; k < K; k++) pooled[k] += weights[i] * pair.e[k];
  });

  let score = linearForward(model, row);
  for (let k = 0; k < K; k++) score += q[k] * pooled[k] * pooledScale[k];
  return { score, pairs, attention, weights, pooled, weightScale, pooledScale };
}

/**
 * dq = dŷ pooled scale;  dpooled = dŷ q scale;  da_p = ⟨dpooled, e_p⟩ scale_p;  de_p = a_p dpooled + de_p of the attention
 */
export function backward(model: RefModel, row: RefRow, kept: AfmKept, dScore: number, into: Gradients): void {
  const { pairs, attention, weights, pooled, weightScale, pooledScale } = kept;
  const q = model.tensors.prediction.data;
  linearBackward(model, row, dScore, into);

  pooled.forEach((value, k) => {
    into.prediction[k] += dScore * value * pooledScale[k];
  });
  const dPooled = pooledScale.map((scale, k) => dScore * q[k] * scale);
  const dWeights = pairs.map((pair) => dot(dPooled, pair.e) * weightScale[pair.index]);
  const dLogitE = attentionBackward(
    model,
    pairs.map((pair) => pair.e),
    attention,
    dWeights,
    into,
  );
  const dE = pairs.map((_, i) => dPooled.map((d, k) => weights[i] * d + dLogitE[i][k]));
  pairProductsBackward(model, row, pairs, dE, into);
}
