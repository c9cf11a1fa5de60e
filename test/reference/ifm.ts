import { type AspectsKept, aspectsBackward, aspectsForward } from "./aspects.js";
import { linearBackward, linearForward } from "./linear.js";
import { dot } from "./tensors.js";
import type { Gradients, RefModel, RefRow, RowOptions } from "./types.js";

export interface IfmKept extends AspectsKept {
  score: number;
}

/** y = linear + Σ_p T_p ⟨e_p, F_p⟩   (Hong, Huang, Chen, AAAI 2019, arXiv 1902.09757) */
export function forward(model: RefModel, row: RefRow, options: RowOptions = {}): IfmKept {
  const aspects = aspectsForward(model, row, options);
  let score = linearForward(model, row);
  aspects.products.forEach((product, i) => {
    score += dot(product, aspects.prototypes[i]);
  });
  return { ...aspects, score };
}

/** d(T_p e_p) = dŷ F_p;  dF_p = dŷ T_p e_p */
export function backward(model: RefModel, row: RefRow, kept: IfmKept, dScore: number, into: Gradients): void {
  linearBackward(model, row, dScore, into);
  const dProducts = kept.prototypes.map((F) => F.map((value) => dScore * value));
  const dPrototypes = kept.products.map((product) => product.map((value) => dScore * value));
  aspectsBackward(model, row, kept, dProducts, dPrototypes, into);
}
