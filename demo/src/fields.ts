import type { ModelConfig } from "ifm-wasm/worker";
import type { HeatCell } from "./heatmap.js";

/**
 * ‖F_p‖ of all pairs of fields, F_p = (U_g ⊙ U_h) D: the root of aᵀ (D Dᵀ) a, a = U_g ⊙ U_h.
 *
 * @param interaction U, f32[F, K_F]
 * @param factor      D, f32[K_F, K]
 */
export function fieldNorms(config: ModelConfig, interaction: Float32Array, factor: Float32Array): HeatCell[] {
  const { fields, fieldFactors: size, factors } = config;
  const gram = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      for (let k = 0; k < factors; k++) gram[i * size + j]! += factor[i * factors + k]! * factor[j * factors + k]!;
    }
  }
  const cells: HeatCell[] = [];
  for (let row = 1; row < fields; row++) {
    for (let column = 0; column < row; column++) {
      const a = Array.from({ length: size }, (_, i) => interaction[row * size + i]! * interaction[column * size + i]!);
      let square = 0;
      for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) square += a[i]! * gram[i * size + j]! * a[j]!;
      cells.push({ row, column, value: Math.sqrt(Math.max(0, square)) });
    }
  }
  return cells;
}
