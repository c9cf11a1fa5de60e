import type { Gradients } from "./types.js";

/** √ Σ g² over all gradients; those of a feature that occurs several times are summed before. */
export function globalNorm(gradients: Gradients): number {
  let squares = 0;
  for (const gradient of Object.values(gradients)) {
    for (const g of gradient) squares += g * g;
  }
  return Math.sqrt(squares);
}

/** g *= c / max(‖g‖, c) for the global norm, in place; returns the norm before (TensorFlow, clip_by_global_norm). */
export function clipGlobalNorm(gradients: Gradients, clipNorm: number): number {
  const norm = globalNorm(gradients);
  const scale = clipNorm / Math.max(norm, clipNorm);
  for (const gradient of Object.values(gradients)) {
    for (let i = 0; i < gradient.length; i++) gradient[i] *= scale;
  }
  return norm;
}
