import { type MlpKept, mlpBackward, mlpForward } from "./dense.js";
import { type IfmKept, backward as ifmBackward, forward as ifmForward } from "./ifm.js";
import { isKnown } from "./linear.js";
import { embedding } from "./pairwise.js";
import { rowOfData, zeros } from "./tensors.js";
import type { Gradients, RefModel, RefRow, RowOptions } from "./types.js";

export interface DeepIfmKept extends IfmKept {
  mlp: MlpKept;
}

/**
 * y = linear + Σ_p T_p ⟨e_p, F_p⟩ + MLP(concat_s V[j_s] x_s)   (MODELS.md, DeepIFM)
 * A slot with an unknown feature leaves K zeros in its place. The choice of pairs does not concern the MLP.
 */
export function forward(model: RefModel, row: RefRow, options: RowOptions = {}): DeepIfmKept {
  const ifm = ifmForward(model, row, options);
  const concat = row.slots.flatMap(({ feature }, s) =>
    isKnown(model, feature) ? embedding(model, row, s) : zeros(model.config.factors),
  );
  const mlp = mlpForward(model, concat);
  return { ...ifm, score: ifm.score + mlp.output, mlp };
}

/** The gradient of IFM, plus dV[j_s] += x_s times its part of the gradient of the MLP's input. */
export function backward(model: RefModel, row: RefRow, kept: DeepIfmKept, dScore: number, into: Gradients): void {
  const K = model.config.factors;
  ifmBackward(model, row, kept, dScore, into);
  const dConcat = mlpBackward(model, kept.mlp, dScore, into);
  row.slots.forEach(({ feature, value }, s) => {
    if (!isKnown(model, feature)) return;
    const dv = rowOfData(into.feature_embeddings, feature, K);
    for (let k = 0; k < K; k++) dv[k] += dConcat[s * K + k] * value;
  });
}
