import { type AspectsKept, aspectsBackward, aspectsForward } from "./aspects.js";
import { type MlpKept, mlpBackward, mlpForward } from "./dense.js";
import { linearBackward, linearForward } from "./linear.js";
import { allPairs } from "./pairwise.js";
import { zeros } from "./tensors.js";
import type { Gradients, RefModel, RefRow, RowOptions } from "./types.js";

export interface InnKept extends AspectsKept {
  score: number;
  concat: number[]; // c, P·K values
  mlp: MlpKept;
}

/**
 * c = concat_p (T_p e_p ⊙ F_p), P·K values;  y = linear + MLP(c)   (MODELS.md, INN)
 * A pair that takes no part leaves zeros in its place p.
 */
export function forward(model: RefModel, row: RefRow, options: RowOptions = {}): InnKept {
  const K = model.config.factors;
  const aspects = aspectsForward(model, row, options);
  const concat = zeros(allPairs(row.slots.length).length * K);
  aspects.pairs.forEach((pair, i) => {
    for (let k = 0; k < K; k++) concat[pair.index * K + k] = aspects.products[i][k] * aspects.prototypes[i][k];
  });
  const mlp = mlpForward(model, concat);
  return { ...aspects, score: linearForward(model, row) + mlp.output, concat, mlp };
}

/** dc = MLP backward;  d(T_p e_p) = dc_p ⊙ F_p;  dF_p = dc_p ⊙ T_p e_p */
export function backward(model: RefModel, row: RefRow, kept: InnKept, dScore: number, into: Gradients): void {
  const K = model.config.factors;
  linearBackward(model, row, dScore, into);
  const dConcat = mlpBackward(model, kept.mlp, dScore, into);
  const dProducts = kept.pairs.map((pair, i) => kept.prototypes[i].map((F, k) => dConcat[pair.index * K + k] * F));
  const dPrototypes = kept.pairs.map((pair, i) => kept.products[i].map((c, k) => dConcat[pair.index * K + k] * c));
  aspectsBackward(model, row, kept, dProducts, dPrototypes, into);
}
