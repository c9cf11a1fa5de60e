import { isKnown } from "./linear.js";
import { rowOf, rowOfData, zeros } from "./tensors.js";
import type { Gradients, Pair, RefModel, RefRow } from "./types.js";

/** A pair that takes part in a row. */
export interface RowPair {
  index: number; // p: its place among all M(M-1)/2 pairs of the row
  s: number;
  t: number;
  e: number[]; // e_p, K values
}

/** All pairs s < t of M slots in order (0,1),(0,2),…,(M-2,M-1). */
export function allPairs(slots: number): Pair[] {
  const pairs: Pair[] = [];
  for (let s = 0; s < slots; s++) {
    for (let t = s + 1; t < slots; t++) pairs.push([s, t]);
  }
  return pairs;
}

/** V[j_s] x_s, K values. */
export function embedding(model: RefModel, row: RefRow, s: number): number[] {
  const { feature, value } = row.slots[s];
  const v = rowOf(model.tensors.feature_embeddings, feature);
  return zeros(v.length).map((_, k) => v[k] * value);
}

/** e_p = (V[j_s] ⊙ V[j_t]) x_s x_t for the pair p = (s,t)   (MODELS.md, Notation) */
export function pairProduct(model: RefModel, row: RefRow, s: number, t: number): number[] {
  const vs = embedding(model, row, s);
  const vt = embedding(model, row, t);
  return vs.map((v, k) => v * vt[k]);
}

/**
 * The pairs of a row that take part, in order of p. Left out are pairs with an unknown feature, pairs of two slots of the
 * same field if the config says `excludeSameField`, and pairs that are not in `chosen`.
 */
export function rowPairs(model: RefModel, row: RefRow, chosen: readonly Pair[] | undefined): RowPair[] {
  const { fieldOfSlot, excludeSameField } = model.config;
  const pairs: RowPair[] = [];
  allPairs(row.slots.length).forEach(([s, t], index) => {
    if (!isKnown(model, row.slots[s].feature) || !isKnown(model, row.slots[t].feature)) return;
    if (excludeSameField && fieldOfSlot[s] === fieldOfSlot[t]) return;
    if (chosen !== undefined && !chosen.some(([a, b]) => a === s && b === t)) return;
    pairs.push({ index, s, t, e: pairProduct(model, row, s, t) });
  });
  return pairs;
}

/**
 * dV[j_s] += de_p ⊙ V[j_t] x_s x_t  and  dV[j_t] += de_p ⊙ V[j_s] x_s x_t  for every pair.
 * @param dE for each of `pairs`, the gradient of e_p
 */
export function pairProductsBackward(
  model: RefModel,
  row: RefRow,
  pairs: readonly RowPair[],
  dE: readonly number[][],
  into: Gradients,
): void {
  const K = model.config.factors;
  pairs.forEach(({ s, t }, i) => {
    const a = row.slots[s];
    const b = row.slots[t];
    const va = rowOf(model.tensors.feature_embeddings, a.feature);
    const vb = rowOf(model.tensors.feature_embeddings, b.feature);
    const da = rowOfData(into.feature_embeddings, a.feature, K);
    const db = rowOfData(into.feature_embeddings, b.feature, K);
    for (let k = 0; k < K; k++) {
      da[k] += dE[i][k] * vb[k] * a.value * b.value;
      db[k] += dE[i][k] * va[k] * a.value * b.value;
    }
  });
}

/** z = Σ_p e_p, literally: the sum over all pairs of u_s ⊙ u_t with u_s = V[j_s] x_s   (Rendle 2010, eq. 1) */
export function fmSumOfPairs(u: readonly number[][], K: number): number[] {
  const z = zeros(K);
  for (const [s, t] of allPairs(u.length)) {
    for (let k = 0; k < K; k++) z[k] += u[s][k] * u[t][k];
  }
  return z;
}

/** z = ½[(Σ_s u_s)² − Σ_s u_s²], the same in O(M K)   (Rendle 2010, lemma 3.1) */
export function fmSumSquare(u: readonly number[][], K: number): number[] {
  const z = zeros(K);
  for (let k = 0; k < K; k++) {
    let sum = 0;
    let sumOfSquares = 0;
    for (const us of u) {
      sum += us[k];
      sumOfSquares += us[k] * us[k];
    }
    z[k] = 0.5 * (sum * sum - sumOfSquares);
  }
  return z;
}

/** ∂z_k/∂u_{s,k} = Σ_{t≠s} u_{t,k}; returns du for every slot. */
export function fmPairwiseBackward(u: readonly number[][], dz: readonly number[]): number[][] {
  return u.map((us, s) =>
    us.map((_, k) => {
      let others = 0;
      u.forEach((ut, t) => {
        if (t !== s) others += ut[k];
      });
      return dz[k] * others;
    }),
  );
}
