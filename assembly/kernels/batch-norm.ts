import { Desc } from "../abi";
import { madd, zero } from "../simd";

/** ε and decay of the authors' code. */
const EPSILON: f32 = 1e-3;
const DECAY: f32 = 0.9;

/** Rows of d.batchNorm, f32[Kp] each. */
const MEAN: usize = 0;
const SCALE: usize = 1; //   1/√(σ² + ε)
const D_GAMMA: usize = 2;
const D_BETA: usize = 3;

@inline
function row(d: Desc, r: usize): usize {
  return d.batchNorm + r * (<usize>d.Kp << 2);
}

/**
 * Mean and 1/√(σ² + ε) of z over the rows of the batch, in row order, σ² by a second pass (biased, 1/B); the moving
 * statistics follow with decay 0.9.   Ioffe & Szegedy 2015
 *
 * @param d in rowZ f32[count, rowFloats]; out the first rows of d.batchNorm, movingMean, movingVariance
 */
export function batchNormStatistics(d: Desc): void {
  const laneBytes = <usize>d.Kp << 2, rowBytes = <usize>d.rowFloats << 2;
  const inverse = f32x4.splat(<f32>1 / <f32>d.count);
  const keep = f32x4.splat(DECAY), take = f32x4.splat(1 - DECAY);
  const epsilon = f32x4.splat(EPSILON), one = f32x4.splat(1);
  for (let k: usize = 0; k < laneBytes; k += 16) {
    const begin = d.rowZ + k, end = begin + <usize>d.count * rowBytes;
    let sum = zero();
    for (let z = begin; z < end; z += rowBytes) sum = f32x4.add(sum, v128.load(z));
    const mean = f32x4.mul(sum, inverse);
    let squares = zero();
    for (let z = begin; z < end; z += rowBytes) {
      const c = f32x4.sub(v128.load(z), mean);
      squares = madd(c, c, squares);
    }
    const variance = f32x4.mul(squares, inverse);
    v128.store(row(d, MEAN) + k, mean);
    v128.store(row(d, SCALE) + k, f32x4.div(one, f32x4.sqrt(f32x4.add(variance, epsilon))));
    v128.store(d.movingMean + k, madd(keep, v128.load(d.movingMean + k), f32x4.mul(take, mean)));
    v128.store(d.movingVariance + k, madd(keep, v128.load(d.movingVariance + k), f32x4.mul(take, variance)));
  }
}

/** As batchNormStatistics, from the moving statistics: evaluation. */
export function batchNormMoving(d: Desc): void {
  const epsilon = f32x4.splat(EPSILON), one = f32x4.splat(1);
  memory.copy(row(d, MEAN), d.movingMean, <usize>d.Kp << 2);
  for (let k: usize = 0, end = <usize>d.Kp << 2; k < end; k += 16) {
    const root = f32x4.sqrt(f32x4.add(v128.load(d.movingVariance + k), epsilon));
    v128.store(row(d, SCALE) + k, f32x4.div(one, root));
  }
}

/** out = γ ẑ + β, ẑ = (z - mean)/√(σ² + ε), for one row. `out` may be `z`. */
export function batchNormForward(out: usize, z: usize, d: Desc): void {
  for (let k: usize = 0, end = <usize>d.Kp << 2; k < end; k += 16) {
    const hat = f32x4.mul(f32x4.sub(v128.load(z + k), v128.load(row(d, MEAN) + k)), v128.load(row(d, SCALE) + k));
    v128.store(out + k, madd(v128.load(d.gamma + k), hat, v128.load(d.beta + k)));
  }
}

/**
 * Backward over the whole batch:
 *
 *   dβ = Σ_b du_b,  dγ = Σ_b du_b ẑ_b,  dz_b = γ/√(σ² + ε) (du_b - dβ/B - ẑ_b dγ/B)
 *
 * @param u  in     f32[count, rowFloats] z
 * @param du in/out f32[count, rowFloats], dz on return; may not be u
 */
export function batchNormBackward(u: usize, du: usize, d: Desc): void {
  const laneBytes = <usize>d.Kp << 2, rowBytes = <usize>d.rowFloats << 2;
  const inverse = f32x4.splat(<f32>1 / <f32>d.count);
  const size = <usize>d.count * rowBytes;
  for (let k: usize = 0; k < laneBytes; k += 16) {
    const mean = v128.load(row(d, MEAN) + k), scale = v128.load(row(d, SCALE) + k);
    let dBeta = zero(), dGamma = zero();
    for (let i: usize = k; i < size; i += rowBytes) {
      const g = v128.load(du + i);
      dBeta = f32x4.add(dBeta, g);
      dGamma = madd(g, f32x4.mul(f32x4.sub(v128.load(u + i), mean), scale), dGamma);
    }
    v128.store(row(d, D_GAMMA) + k, dGamma);
    v128.store(row(d, D_BETA) + k, dBeta);
    const factor = f32x4.mul(v128.load(d.gamma + k), scale);
    const meanBeta = f32x4.mul(dBeta, inverse), meanGamma = f32x4.mul(dGamma, inverse);
    for (let i: usize = k; i < size; i += rowBytes) {
      const hat = f32x4.mul(f32x4.sub(v128.load(u + i), mean), scale);
      const g = f32x4.sub(f32x4.sub(v128.load(du + i), meanBeta), f32x4.mul(hat, meanGamma));
      v128.store(du + i, f32x4.mul(factor, g));
    }
  }
}

/**
 * Copies dγ and dβ to where the optimizer looks for them. Lanes K … Kp - 1 are left at 0: du is dy in all of them, and
 * padding must not be trained.
 */
export function batchNormEnd(d: Desc): void {
  const toGrad = d.grad - d.dense, laneBytes = <usize>d.K << 2;
  memory.copy(d.gamma + toGrad, row(d, D_GAMMA), laneBytes);
  memory.copy(d.beta + toGrad, row(d, D_BETA), laneBytes);
}
