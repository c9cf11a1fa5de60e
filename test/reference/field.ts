import { rowOf, rowOfData, zeros } from "./tensors.js";
import type { Gradients, RefModel } from "./types.js";

/**
 * The field aspect: which directions matter for this pair of fields   (MODELS.md, IFM)
 *   F_p = (U[g_s] ⊙ U[g_t]) D
 * Tensors: U `interaction` (F,K_F), D `factor` (K_F,K). Returns K values.
 */
export function fieldForward(model: RefModel, gs: number, gt: number): number[] {
  const { factors: K, fieldFactors: KF } = model.config;
  const us = rowOf(model.tensors.interaction, gs);
  const ut = rowOf(model.tensors.interaction, gt);
  const D = model.tensors.factor.data;
  const Fp = zeros(K);
  for (let k = 0; k < K; k++) {
    for (let c = 0; c < KF; c++) Fp[k] += us[c] * ut[c] * D[c * K + k];
  }
  return Fp;
}

/**
 * With m = U[g_s] ⊙ U[g_t]:  dD += mᵀ dF_p;  dm = dF_p Dᵀ;  dU[g_s] += dm ⊙ U[g_t];  dU[g_t] += dm ⊙ U[g_s]
 * Two slots of one field (g_s = g_t) get both terms in the same row.
 */
export function fieldBackward(model: RefModel, gs: number, gt: number, dFp: readonly number[], into: Gradients): void {
  const { factors: K, fieldFactors: KF } = model.config;
  const us = rowOf(model.tensors.interaction, gs);
  const ut = rowOf(model.tensors.interaction, gt);
  const D = model.tensors.factor.data;
  const dus = rowOfData(into.interaction, gs, KF);
  const dut = rowOfData(into.interaction, gt, KF);
  for (let c = 0; c < KF; c++) {
    let dm = 0;
    for (let k = 0; k < K; k++) {
      into.factor[c * K + k] += us[c] * ut[c] * dFp[k];
      dm += dFp[k] * D[c * K + k];
    }
    dus[c] += dm * ut[c];
    dut[c] += dm * us[c];
  }
}
