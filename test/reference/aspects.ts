import { type AttentionKept, attentionBackward, attentionForward } from "./attention.js";
import { dropoutScale } from "./dropout.js";
import { fieldBackward, fieldForward } from "./field.js";
import { allPairs, pairProductsBackward, type RowPair, rowPairs } from "./pairwise.js";
import { zeros } from "./tensors.js";
import type { Gradients, RefModel, RefRow, RowOptions } from "./types.js";

/** What IFM, INN and DeepIFM have in common: the feature aspect T_p e_p and the field aspect F_p of every pair. */
export interface AspectsKept {
  pairs: RowPair[]; // with e_p
  attention: AttentionKept; // logits, T_p before dropout
  weights: number[]; // per pair: T_p after dropout
  products: number[][]; // per pair: T_p e_p after both dropouts, K values
  prototypes: number[][]; // per pair: F_p, K values
  weightScale: number[]; // dropout factors of T_p, by p
  productScale: number[]; // dropout factors of T_p e_p, by p·K + k
}

/** T_p e_p, with keep[0] on T and then keep[1] on the product, and F_p   (MODELS.md, IFM) */
export function aspectsForward(model: RefModel, row: RefRow, options: RowOptions): AspectsKept {
  const { factors: K, fieldOfSlot } = model.config;
  const P = allPairs(row.slots.length).length;
  const pairs = rowPairs(model, row, options.pairs);
  const attention = attentionForward(
    model,
    pairs.map((pair) => pair.e),
  );
  const weightScale = dropoutScale(options.dropout?.[0], P);
  const productScale = dropoutScale(options.dropout?.[1], P * K);

  const weights = pairs.map((pair, i) => attention.weights[i] * weightScale[pair.index]);
  const products = pairs.map((pair, i) => pair.e.map((e, k) => weights[i] * e * productScale[pair.index * K + k]));
  const prototypes = pairs.map(({ s, t }) => fieldForward(model, fieldOfSlot[s], fieldOfSlot[t]));
  return { pairs, attention, weights, products, prototypes, weightScale, productScale };
}

/**
 * From the gradients of T_p e_p (after dropout) and of F_p to those of every tensor:
 *   dF_p goes to U, D;  d(T_p e_p) times its dropout factor is d;  dT_p = ⟨d, e_p⟩ scale_p goes through the attention;
 *   de_p = T_p d + de_p of the attention goes to V
 */
export function aspectsBackward(
  model: RefModel,
  row: RefRow,
  kept: AspectsKept,
  dProducts: readonly number[][],
  dPrototypes: readonly number[][],
  into: Gradients,
): void {
  const { factors: K, fieldOfSlot } = model.config;
  const { pairs, attention, weights, weightScale, productScale } = kept;

  pairs.forEach(({ s, t }, i) => {
    fieldBackward(model, fieldOfSlot[s], fieldOfSlot[t], dPrototypes[i], into);
  });

  const dWeights = zeros(pairs.length);
  const dE = pairs.map(() => zeros(K));
  pairs.forEach((pair, i) => {
    for (let k = 0; k < K; k++) {
      const d = dProducts[i][k] * productScale[pair.index * K + k];
      dWeights[i] += d * pair.e[k] * weightScale[pair.index];
      dE[i][k] += d * weights[i];
    }
  });
  const dLogitE = attentionBackward(
    model,
    pairs.map((pair) => pair.e),
    attention,
    dWeights,
    into,
  );
  pairProductsBackward(
    model,
    row,
    pairs,
    dE.map((de, i) => de.map((d, k) => d + dLogitE[i][k])),
    into,
  );
}
