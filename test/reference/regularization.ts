import { rowOfData } from "./tensors.js";
import type { Gradients, RefModel } from "./types.js";

/** λ per group; a missing one is 0. */
export interface L2 {
  embedding?: number; // V, touched rows
  linear?: number; // w, touched rows
  attention?: number; // W
  field?: number; // U and D
  hidden?: number; // every kernel of the MLP, the one of the linear unit too
}

/** The λ of a tensor. */
export function lambdaOf(name: string, l2: L2): number {
  if (name === "feature_embeddings") return l2.embedding ?? 0;
  if (name === "feature_bias") return l2.linear ?? 0;
  if (name === "attention_W") return l2.attention ?? 0;
  if (name === "interaction" || name === "factor") return l2.field ?? 0;
  if (/^mlp\.\d+\.kernel$/.test(name)) return l2.hidden ?? 0;
  return 0;
}

/** One row per feature: regularised and updated row by row. */
export function isTable(name: string): boolean {
  return name === "feature_embeddings" || name === "feature_bias";
}

/**
 * Adds λ θ to the gradients and returns Σ λ · ½‖θ‖²   (MODELS.md, Loss).
 * V and w count only in the rows that the batch touches, each once however often the feature occurs.
 * @param touched the distinct known features of the batch
 */
export function addL2(model: RefModel, l2: L2, touched: readonly number[], gradients: Gradients): number {
  let penalty = 0;
  const add = (theta: Float64Array, gradient: Float64Array, lambda: number): void => {
    for (let i = 0; i < theta.length; i++) {
      penalty += lambda * 0.5 * theta[i] ** 2;
      gradient[i] += lambda * theta[i];
    }
  };
  for (const name of Object.keys(gradients)) {
    const lambda = lambdaOf(name, l2);
    const { shape, data } = model.tensors[name];
    if (isTable(name)) {
      const columns = shape[1] ?? 1;
      for (const j of touched) add(rowOfData(data, j, columns), rowOfData(gradients[name], j, columns), lambda);
    } else {
      add(data, gradients[name], lambda);
    }
  }
  return penalty;
}
