import type { Gradients, RefModel, RefRow } from "./types.js";

/** A feature id that the model does not know (id >= n) contributes nothing, as if absent from the row. */
export function isKnown(model: RefModel, feature: number): boolean {
  return feature < model.config.features;
}

/** linear(x) = w0 + Σ_s w[j_s] x_s   (MODELS.md, Notation; Rendle 2010, eq. 1) */
export function linearForward(model: RefModel, row: RefRow): number {
  let sum = model.tensors.bias.data[0];
  for (const { feature, value } of row.slots) {
    if (isKnown(model, feature)) sum += model.tensors.feature_bias.data[feature] * value;
  }
  return sum;
}

/** ∂linear/∂w0 = 1,  ∂linear/∂w[j_s] = x_s; added to `into`. */
export function linearBackward(model: RefModel, row: RefRow, dScore: number, into: Gradients): void {
  into.bias[0] += dScore;
  for (const { feature, value } of row.slots) {
    if (isKnown(model, feature)) into.feature_bias[feature] += dScore * value;
  }
}
