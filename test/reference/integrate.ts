import { mlpBackward, mlpForward } from "./dense.js";
import { zeroGradients } from "./tensors.js";
import type { RefModel } from "./types.js";

/**
 * x_i ∫ ∂N/∂x_i (α x) dα, α = 0 … 1, of a ReLU network N   (Sundararajan, Taly, Yan 2017, eq. 1)
 *
 * Where both halves of a piece of the line have the same active units as the piece, its middle stands for it; where not,
 * it is halved again.
 */
export function integratedGradients(model: RefModel, x: readonly number[]): number[] {
  const total = x.map(() => 0);
  const at = (alpha: number) => {
    const kept = mlpForward(
      model,
      x.map((xi) => alpha * xi),
    );
    const pattern = kept.preactivations
      .slice(0, -1)
      .flat()
      .map((z) => Number(z > 0))
      .join("");
    return { kept, pattern };
  };
  const add = (from: number, to: number, halvings: number): void => {
    const middle = at((from + to) / 2);
    const same =
      at(from + (to - from) * 1e-9).pattern === middle.pattern &&
      at(to - (to - from) * 1e-9).pattern === middle.pattern;
    if (!same && halvings > 0) {
      add(from, (from + to) / 2, halvings - 1);
      add((from + to) / 2, to, halvings - 1);
      return;
    }
    mlpBackward(model, middle.kept, 1, zeroGradients(model)).forEach((g, i) => {
      total[i]! += (to - from) * x[i]! * g;
    });
  };
  const PIECES = 16;
  for (let i = 0; i < PIECES; i++) add(i / PIECES, (i + 1) / PIECES, 26);
  return total;
}
