import { dot, zeros } from "./tensors.js";
import type { Activation, Gradients, RefModel } from "./types.js";

export interface AttentionKept {
  preactivations: number[][]; // per pair, A values: what enters act
  hidden: number[][]; // per pair, A values: what leaves act
  logits: number[]; // per pair: what enters the softmax
  weights: number[]; // per pair: T_p (a_p of AFM); they sum to 1
}

export function activate(activation: Activation, x: number): number {
  switch (activation) {
    case "relu":
      return Math.max(x, 0);
    case "tanh":
      return Math.tanh(x);
    case "sigmoid":
      return 1 / (1 + Math.exp(-x));
    case "identity":
      return x;
  }
}

/** act'(x), from x and y = act(x); ReLU' is 0 at 0. */
export function activationSlope(activation: Activation, x: number, y: number): number {
  switch (activation) {
    case "relu":
      return x > 0 ? 1 : 0;
    case "tanh":
      return 1 - y * y;
    case "sigmoid":
      return y * (1 - y);
    case "identity":
      return 1;
  }
}

/** softmax_p(x) = exp(x_p − max) / Σ_q exp(x_q − max); of nothing it is nothing. */
export function softmax(x: readonly number[]): number[] {
  const max = Math.max(...x);
  const exps = x.map((value) => Math.exp(value - max));
  const sum = exps.reduce((total, value) => total + value, 0);
  return exps.map((value) => value / sum);
}

/** dx_p = y_p (dy_p − Σ_q y_q dy_q) for y = softmax(x). */
export function softmaxBackward(y: readonly number[], dy: readonly number[]): number[] {
  const mean = dot(y, dy);
  return y.map((value, p) => value * (dy[p] - mean));
}

/** τ as the divisor of the logits and as the divisor of the projection; one of them is 1. */
function divisors(model: RefModel): { ofLogits: number; ofProjection: number } {
  const { temperature, temperatureOn } = model.config;
  return temperatureOn === "logits"
    ? { ofLogits: temperature, ofProjection: 1 }
    : { ofLogits: 1, ofProjection: temperature };
}

/**
 * The feature aspect: which pairs matter in this row   (MODELS.md, IFM; AFM: Xiao et al. 2017, eq. 5)
 *   temperatureOn "logits":      logit_p = h · act(e_p W + b) / τ      (IFM paper)
 *   temperatureOn "projection":  logit_p = h · act(e_p W / τ + b)      (the authors' IFM.py)
 *   T = softmax_p(logit)
 * Tensors: W `attention_W` (K,A), b `attention_b` (A), h `attention_p` (A).
 * @param e for each pair that takes part, e_p (K values)
 */
export function attentionForward(model: RefModel, e: readonly number[][]): AttentionKept {
  const { factors: K, attentionFactors: A, activation } = model.config;
  const W = model.tensors.attention_W.data;
  const b = model.tensors.attention_b.data;
  const h = model.tensors.attention_p.data;
  const { ofLogits, ofProjection } = divisors(model);

  const preactivations = e.map((ep) => {
    const pre = zeros(A);
    for (let a = 0; a < A; a++) {
      let projection = 0;
      for (let k = 0; k < K; k++) projection += ep[k] * W[k * A + a];
      pre[a] = projection / ofProjection + b[a];
    }
    return pre;
  });
  const hidden = preactivations.map((pre) => pre.map((x) => activate(activation, x)));
  const logits = hidden.map((y) => dot(h, y) / ofLogits);
  return { preactivations, hidden, logits, weights: softmax(logits) };
}

/**
 * Backward of attentionForward: dW, db, dh are added to `into`; returns the part of de_p that comes through the logits.
 *   dlogit = softmaxBackward(T, dT);  dh += dlogit_p act_p / τ;  dpre_p = dlogit_p h / τ ⊙ act'
 *   db += dpre_p;  dW += e_pᵀ dpre_p;  de_p = dpre_p Wᵀ      (the last two over τ instead, if τ is on the projection)
 * @param dWeights the gradient of T
 */
export function attentionBackward(
  model: RefModel,
  e: readonly number[][],
  kept: AttentionKept,
  dWeights: readonly number[],
  into: Gradients,
): number[][] {
  const { factors: K, attentionFactors: A, activation } = model.config;
  const W = model.tensors.attention_W.data;
  const h = model.tensors.attention_p.data;
  const { ofLogits, ofProjection } = divisors(model);
  const dLogits = softmaxBackward(kept.weights, dWeights);

  return e.map((ep, p) => {
    const de = zeros(K);
    for (let a = 0; a < A; a++) {
      const x = kept.preactivations[p][a];
      const y = kept.hidden[p][a];
      into.attention_p[a] += (dLogits[p] * y) / ofLogits;
      const dPre = ((dLogits[p] * h[a]) / ofLogits) * activationSlope(activation, x, y);
      into.attention_b[a] += dPre;
      for (let k = 0; k < K; k++) {
        into.attention_W[k * A + a] += (dPre * ep[k]) / ofProjection;
        de[k] += (dPre * W[k * A + a]) / ofProjection;
      }
    }
    return de;
  });
}
