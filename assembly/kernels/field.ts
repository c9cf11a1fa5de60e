import { Desc } from "../abi";
import { hsum, madd, zero } from "../simd";

/** Bytes of an entry {s, t, p} of the list of pairs. */
export const PAIR_BYTES: usize = 12;

/** Byte distance of the field factors of slot s from d.fieldU; `offset` is its byte offset in the slot buffer. */
@inline
function fieldRow(d: Desc, offset: u32): usize {
  const slot = <usize>(offset / (d.Kp << 2));
  return d.fieldU + <usize>load<u32>(d.fieldOfSlot + (slot << 2)) * (<usize>d.KFp << 2);
}

/**
 * F_p = (U[g_s] ⊙ U[g_t]) D for every pair of the list.   Hong et al. 2019, field aspect
 *
 * @param d  in fieldU, fieldD, pairs; out fieldPairs f32[fieldRows + 1, Kp], whose last row is set to 0 (padding pairs)
 */
export function fieldForward(d: Desc): void {
  const laneBytes = <usize>d.Kp << 2, KF = <usize>d.KF << 2;
  for (let p: u32 = 0; p < d.P; p++) {
    const pair = d.pairs + <usize>p * PAIR_BYTES;
    const us = fieldRow(d, load<u32>(pair)), ut = fieldRow(d, load<u32>(pair, 4));
    const F = d.fieldPairs + <usize>load<u32>(pair, 8);
    for (let k: usize = 0; k < laneBytes; k += 16) {
      let sum = zero();
      let D = d.fieldD + k;
      for (let f: usize = 0; f < KF; f += 4, D += laneBytes) {
        sum = madd(f32x4.mul(v128.load32_splat(us + f), v128.load32_splat(ut + f)), v128.load(D), sum);
      }
      v128.store(F + k, sum);
    }
  }
  memory.fill(d.fieldPairs + <usize>d.fieldRows * laneBytes, 0, laneBytes);
}

/**
 *   dD[f] = Σ_p U[g_s,f] U[g_t,f] dF_p,   q_p[f] = <dF_p, D[f]>,   dU[g_s] += q_p ⊙ U[g_t],   dU[g_t] += q_p ⊙ U[g_s]
 *
 * @param dU in/out f32[F, KFp]    accumulated (+=)
 * @param dD in/out f32[KF, Kp]    accumulated (+=)
 * @param dF in     f32[fieldRows, Kp]
 */
export function fieldBackward(dU: usize, dD: usize, dF: usize, d: Desc): void {
  const laneBytes = <usize>d.Kp << 2, KF = <usize>d.KF << 2;
  const toGradient = dU - d.fieldU;
  for (let p: u32 = 0; p < d.P; p++) {
    const pair = d.pairs + <usize>p * PAIR_BYTES;
    const dFp = dF + <usize>load<u32>(pair, 8);
    const us = fieldRow(d, load<u32>(pair)), ut = fieldRow(d, load<u32>(pair, 4));
    let at: usize = 0;
    for (let f: usize = 0; f < KF; f += 4, at += laneBytes) {
      const u = load<f32>(us + f), v = load<f32>(ut + f);
      const uv = f32x4.splat(u * v);
      let q = zero();
      for (let k: usize = 0; k < laneBytes; k += 16) {
        const g = v128.load(dFp + k);
        q = madd(g, v128.load(d.fieldD + at + k), q);
        v128.store(dD + at + k, madd(uv, g, v128.load(dD + at + k)));
      }
      const qf = hsum(q);
      store<f32>(us + toGradient + f, load<f32>(us + toGradient + f) + qf * v);
      store<f32>(ut + toGradient + f, load<f32>(ut + toGradient + f) + qf * u);
    }
  }
}
