import * as afm from "./afm.js";
import * as deepifm from "./deepifm.js";
import * as fm from "./fm.js";
import * as ifm from "./ifm.js";
import * as inn from "./inn.js";
import type { Gradients, ModelKind, RefModel, RefRow, RowOptions } from "./types.js";

/** A model as code that does not care which one it is sees it. */
export interface Twin {
  /** The score ŷ of a row; the model's own `forward` also returns everything kept. */
  score(model: RefModel, row: RefRow, options?: RowOptions): number;
  /** Adds dŷ · ∂ŷ/∂θ of every tensor to `into`; runs the forward pass again. */
  backward(model: RefModel, row: RefRow, options: RowOptions, dScore: number, into: Gradients): void;
}

function twin<Kept extends { score: number }>(
  forward: (model: RefModel, row: RefRow, options?: RowOptions) => Kept,
  backward: (model: RefModel, row: RefRow, kept: Kept, dScore: number, into: Gradients) => void,
): Twin {
  return {
    score: (model, row, options) => forward(model, row, options).score,
    backward: (model, row, options, dScore, into) => backward(model, row, forward(model, row, options), dScore, into),
  };
}

export const twins: Record<ModelKind, Twin> = {
  fm: twin(fm.forward, fm.backward),
  afm: twin(afm.forward, afm.backward),
  ifm: twin(ifm.forward, ifm.backward),
  inn: twin(inn.forward, inn.backward),
  deepifm: twin(deepifm.forward, deepifm.backward),
};

/** ŷ of every row, as at prediction: no dropout, all pairs, moving statistics. */
export function predict(model: RefModel, rows: readonly RefRow[]): number[] {
  return rows.map((row) => twins[model.config.model].score(model, row));
}
