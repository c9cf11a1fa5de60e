import { Desc, F16, F32, I8 } from "../abi";
import { hsum, madd, zero } from "../simd";

/*
 * Kernels that read the table in each of its formats, and go on from what other slots have left: prediction from small
 * tables, and candidates that share a context. A record begins with Kp lanes of v; behind them lie
 *
 *   f32   [ w f32, 0 0 0 ]
 *   f16, int8    [ scale f32 | 0, w f16 | Σ v² f32 | w f32 ]      v = scale · lane
 *
 * The second half of that, and the scale of f16, which is 1, follow from the rest: tableBegin. As four floats it can be
 * summed like the lanes of v; half of the sums mean nothing.
 */

/** log2 of the bytes of a lane. */
@inline
function laneShift(FORMAT: u32): usize {
  return <usize>(FORMAT == F32 ? 2 : FORMAT == F16 ? 1 : 0);
}

/** 2^112: what is between the exponents of f16 and f32. */
const F16_SCALE: f32 = reinterpret<f32>(0x77800000);

/** Four lanes of v at the address, of int8 without their scale. Finite: no f16 has the highest exponent. */
@inline
function lanes4(FORMAT: u32, at: usize): v128 {
  if (FORMAT == F32) return v128.load(at);
  if (FORMAT == F16) {
    // Sign and exponent move to where f32 has them; the sign-extended bits between are masked.
    const bits = v128.and(i32x4.shl(v128.load16x4_s(at), 13), i32x4.splat(0x8fffe000));
    return f32x4.mul(bits, f32x4.splat(F16_SCALE));
  }
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(at))));
}

/** What lies behind the lanes of v. */
@inline
function tailOf(FORMAT: u32, d: Desc, record: usize): usize {
  return record + (<usize>d.Kp << laneShift(FORMAT));
}

/** x, and the record's scale where it has one. */
@inline
function factor(FORMAT: u32, d: Desc, record: usize, x: f32): f32 {
  return FORMAT == I8 ? x * load<f32>(tailOf(FORMAT, d, record)) : x;
}

/** w of a record. */
@inline
function weightOf(FORMAT: u32, d: Desc, record: usize): f32 {
  const tail = tailOf(FORMAT, d, record);
  return FORMAT == F32 ? load<f32>(tail) : load<f32>(tail, 12);
}

@inline
function linear(FORMAT: u32, sum: f32, d: Desc, features: usize, values: usize, slots: u32): f32 {
  for (let i: usize = 0, end = <usize>slots << 2; i < end; i += 4) {
    const w = weightOf(FORMAT, d, d.table + <usize>load<u32>(features + i) * d.recordBytes);
    sum += values ? w * load<f32>(values + i) : w;
  }
  return sum;
}

/**
 * sum + Σ_s w[j_s] x_s, in slot order.
 *
 * @param features in u32[slots], each <= n
 * @param values   in f32[slots], or 0 when every value is 1
 */
export function linearFrom(sum: f32, d: Desc, features: usize, values: usize, slots: u32): f32 {
  if (d.tableFormat == F16) return linear(F16, sum, d, features, values, slots);
  if (d.tableFormat == I8) return linear(I8, sum, d, features, values, slots);
  return linear(F32, sum, d, features, values, slots);
}

@inline
function gather(FORMAT: u32, slots: usize, d: Desc, at: usize, features: usize, values: usize, count: u32): u32 {
  const laneBytes = <usize>d.Kp << 2;
  let known: u32 = 0;
  for (let i: usize = 0, end = <usize>count << 2; i < end; i += 4) {
    const j = load<u32>(features + i);
    known += u32(j != d.n);
    const v = d.table + <usize>j * d.recordBytes;
    const x = f32x4.splat(factor(FORMAT, d, v, values ? load<f32>(values + i) : 1));
    const to = slots + (at ? <usize>load<u32>(at + i) : i >> 2) * laneBytes;
    for (let k: usize = 0; k < laneBytes; k += 16) {
      v128.store(to + k, f32x4.mul(x, lanes4(FORMAT, v + (k >> (2 - laneShift(FORMAT))))));
    }
  }
  return known;
}

/**
 * Some slots of a row: x_s v[j_s], each at its place.
 *
 * @param slots    out f32[M + 1, Kp]   only the places of these slots
 * @param at       in  u32[count] their places, or 0 for 0, 1, 2, …
 * @param features in  u32[count], each <= n
 * @param values   in  f32[count], or 0 when every value is 1
 * @returns number of slots whose feature the model knows
 */
export function gatherAt(slots: usize, d: Desc, at: usize, features: usize, values: usize, count: u32): u32 {
  if (d.tableFormat == F16) return gather(F16, slots, d, at, features, values, count);
  if (d.tableFormat == I8) return gather(I8, slots, d, at, features, values, count);
  return gather(F32, slots, d, at, features, values, count);
}

@inline
function pairwise(
  FORMAT: u32, ONE_HOT: bool, sums: usize, z: usize, base: usize, d: Desc, features: usize, values: usize, slots: u32,
): f32 {
  const laneBytes = <usize>d.Kp << 2, recordBytes = <usize>d.recordBytes, slotBytes = <usize>slots << 2;
  const SHIFT: usize = 2 - laneShift(FORMAT), V: usize = 16 >> SHIFT;
  let total = zero();
  let k: usize = 0;
  // As in pairwise.ts, so that a context that comes first in the row gives the bits of predict.
  for (; k + 64 <= laneBytes; k += 64) {
    const column = d.table + (k >> SHIFT);
    const S = base + k, Q = S + laneBytes;
    let s0 = v128.load(S), s1 = v128.load(S, 16), s2 = v128.load(S, 32), s3 = v128.load(S, 48);
    let q0 = v128.load(Q), q1 = v128.load(Q, 16), q2 = v128.load(Q, 32), q3 = v128.load(Q, 48);
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const j = <usize>load<u32>(features + i);
      const at = column + j * recordBytes;
      let v0 = lanes4(FORMAT, at), v1 = lanes4(FORMAT, at + V), v2 = lanes4(FORMAT, at + 2 * V), v3 = lanes4(FORMAT, at + 3 * V);
      if (!ONE_HOT || FORMAT == I8) {
        const x = f32x4.splat(factor(FORMAT, d, d.table + j * recordBytes, ONE_HOT ? 1 : load<f32>(values + i)));
        v0 = f32x4.mul(v0, x);
        v1 = f32x4.mul(v1, x);
        v2 = f32x4.mul(v2, x);
        v3 = f32x4.mul(v3, x);
      }
      s0 = f32x4.add(s0, v0);
      s1 = f32x4.add(s1, v1);
      s2 = f32x4.add(s2, v2);
      s3 = f32x4.add(s3, v3);
      q0 = madd(v0, v0, q0);
      q1 = madd(v1, v1, q1);
      q2 = madd(v2, v2, q2);
      q3 = madd(v3, v3, q3);
    }
    if (sums) {
      const to = sums + k, squares = to + laneBytes;
      v128.store(to, s0);
      v128.store(to, s1, 16);
      v128.store(to, s2, 32);
      v128.store(to, s3, 48);
      v128.store(squares, q0);
      v128.store(squares, q1, 16);
      v128.store(squares, q2, 32);
      v128.store(squares, q3, 48);
      continue;
    }
    q0 = f32x4.sub(f32x4.mul(s0, s0), q0);
    q1 = f32x4.sub(f32x4.mul(s1, s1), q1);
    q2 = f32x4.sub(f32x4.mul(s2, s2), q2);
    q3 = f32x4.sub(f32x4.mul(s3, s3), q3);
    if (z) {
      const half = f32x4.splat(0.5);
      v128.store(z + k, f32x4.mul(half, q0));
      v128.store(z + k, f32x4.mul(half, q1), 16);
      v128.store(z + k, f32x4.mul(half, q2), 32);
      v128.store(z + k, f32x4.mul(half, q3), 48);
    }
    total = f32x4.add(total, f32x4.add(f32x4.add(q0, q1), f32x4.add(q2, q3)));
  }
  let two = zero();
  const last = (laneBytes & 63) == 32;
  for (; k < laneBytes; k += 16) {
    let s = v128.load(base + k), q = v128.load(base + laneBytes + k);
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const record = d.table + <usize>load<u32>(features + i) * recordBytes;
      let v = lanes4(FORMAT, record + (k >> SHIFT));
      if (!ONE_HOT || FORMAT == I8) {
        v = f32x4.mul(v, f32x4.splat(factor(FORMAT, d, record, ONE_HOT ? 1 : load<f32>(values + i))));
      }
      s = f32x4.add(s, v);
      q = madd(v, v, q);
    }
    if (sums) {
      v128.store(sums + k, s);
      v128.store(sums + laneBytes + k, q);
      continue;
    }
    q = f32x4.sub(f32x4.mul(s, s), q);
    if (z) v128.store(z + k, f32x4.mul(f32x4.splat(0.5), q));
    if (last) two = f32x4.add(two, q);
    else total = f32x4.add(total, q);
  }
  return <f32>0.5 * hsum(last ? f32x4.add(total, two) : total);
}

/**
 * Second-order FM term of a row whose first slots have left their sums.
 *
 *   z[k] = 1/2 [ (S[k] + Σ_s v[s,k] x[s])² - Q[k] - Σ_s (v[s,k] x[s])² ]
 *
 * @param sums     out  f32[2, Kp]   the sums of these slots, too, instead of z; or 0
 * @param z        out  f32[Kp], or 0 when only its sum is wanted
 * @param base     in   f32[2, Kp]   S, Q
 * @param features in   u32[slots], each <= n
 * @param values   in   f32[slots], or 0 when every value is 1
 * @returns Σ_k z[k]; 0 with `sums`
 */
export function pairwiseFrom(
  sums: usize, z: usize, base: usize, d: Desc, features: usize, values: usize, slots: u32,
): f32 {
  const format = d.tableFormat;
  if (values) {
    if (format == F16) return pairwise(F16, false, sums, z, base, d, features, values, slots);
    if (format == I8) return pairwise(I8, false, sums, z, base, d, features, values, slots);
    return pairwise(F32, false, sums, z, base, d, features, values, slots);
  }
  if (format == F16) return pairwise(F16, true, sums, z, base, d, features, 0, slots);
  if (format == I8) return pairwise(I8, true, sums, z, base, d, features, 0, slots);
  return pairwise(F32, true, sums, z, base, d, features, 0, slots);
}

/** Four f16 as f32 of 2^-112 their size: what they are a sum of is scaled once. */
@inline
function tiny4(at: usize): v128 {
  return v128.and(i32x4.shl(v128.load16x4_s(at), 13), i32x4.splat(0x8fffe000));
}

/** s + x v of four lanes; f16 not yet scaled. */
@inline
function addTiny(s: v128, v: v128, x: v128, ONE: bool): v128 {
  return f32x4.add(s, ONE ? v : f32x4.mul(x, v));
}

/** (base + s)² of four lanes. */
@inline
function square(FORMAT: u32, s: v128, base: usize): v128 {
  const all = f32x4.add(v128.load(base), FORMAT == F16 ? f32x4.mul(s, f32x4.splat(F16_SCALE)) : s);
  return f32x4.mul(all, all);
}

@inline
function fromNorms(
  FORMAT: u32, ONE_HOT: bool, linear: f32, base: usize, norm: f32, d: Desc, features: usize, values: usize, slots: u32,
): f32 {
  const recordBytes = <usize>d.recordBytes, slotBytes = <usize>slots << 2, lanes = <usize>d.Kp;
  const ONE = ONE_HOT && FORMAT == F16;
  // [ 0 0 norm linear ]
  let tails = f32x4.replace_lane(f32x4.replace_lane(zero(), 2, norm), 3, linear);
  for (let i: usize = 0; i < slotBytes; i += 4) {
    const tail = v128.load(tailOf(FORMAT, d, d.table + <usize>load<u32>(features + i) * recordBytes));
    if (ONE_HOT) {
      tails = f32x4.add(tails, tail);
    } else {
      const x = load<f32>(values + i);
      tails = madd(f32x4.replace_lane(f32x4.splat(x * x), 3, x), tail, tails);
    }
  }
  let total = zero();
  let k: usize = 0;
  for (; k + 32 <= lanes; k += 32) {
    let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero(), s4 = zero(), s5 = zero(), s6 = zero(), s7 = zero();
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const record = d.table + <usize>load<u32>(features + i) * recordBytes;
      const x = ONE ? zero() : f32x4.splat(factor(FORMAT, d, record, ONE_HOT ? 1 : load<f32>(values + i)));
      if (FORMAT == F16) {
        const at = record + (k << 1);
        s0 = addTiny(s0, tiny4(at), x, ONE);
        s1 = addTiny(s1, tiny4(at + 8), x, ONE);
        s2 = addTiny(s2, tiny4(at + 16), x, ONE);
        s3 = addTiny(s3, tiny4(at + 24), x, ONE);
        s4 = addTiny(s4, tiny4(at + 32), x, ONE);
        s5 = addTiny(s5, tiny4(at + 40), x, ONE);
        s6 = addTiny(s6, tiny4(at + 48), x, ONE);
        s7 = addTiny(s7, tiny4(at + 56), x, ONE);
      } else {
        const at = record + k;
        const a = v128.load8x8_s(at), b = v128.load8x8_s(at + 8), c = v128.load8x8_s(at + 16), e = v128.load8x8_s(at + 24);
        s0 = addTiny(s0, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(a)), x, false);
        s1 = addTiny(s1, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(a)), x, false);
        s2 = addTiny(s2, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(b)), x, false);
        s3 = addTiny(s3, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(b)), x, false);
        s4 = addTiny(s4, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(c)), x, false);
        s5 = addTiny(s5, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(c)), x, false);
        s6 = addTiny(s6, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(e)), x, false);
        s7 = addTiny(s7, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(e)), x, false);
      }
    }
    const S = base + (k << 2);
    const t0 = f32x4.add(square(FORMAT, s0, S), square(FORMAT, s1, S + 16));
    const t1 = f32x4.add(square(FORMAT, s2, S + 32), square(FORMAT, s3, S + 48));
    const t2 = f32x4.add(square(FORMAT, s4, S + 64), square(FORMAT, s5, S + 80));
    const t3 = f32x4.add(square(FORMAT, s6, S + 96), square(FORMAT, s7, S + 112));
    total = f32x4.add(total, f32x4.add(f32x4.add(t0, t1), f32x4.add(t2, t3)));
  }
  for (; k < lanes; k += 4) {
    let s = zero();
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const record = d.table + <usize>load<u32>(features + i) * recordBytes;
      const x = ONE ? zero() : f32x4.splat(factor(FORMAT, d, record, ONE_HOT ? 1 : load<f32>(values + i)));
      s = addTiny(s, FORMAT == F16 ? tiny4(record + (k << 1)) : lanes4(I8, record + k), x, ONE);
    }
    total = f32x4.add(total, square(FORMAT, s, base + (k << 2)));
  }
  return f32x4.extract_lane(tails, 3) + <f32>0.5 * (hsum(total) - f32x4.extract_lane(tails, 2));
}

/**
 * The score of a row of FM from a small table: Σ_k Σ_s (v[s,k] x_s)² is a sum of the norms that records have, so that only
 * Σ v x is summed lane by lane.
 *
 * @param linear of other slots, and w0
 * @param base   in f32[Kp] Σ v x of other slots
 * @param norm   Σ (v x)² of them
 * @returns linear + Σ_s w[j_s] x_s + Σ_k z_k
 */
export function pairwiseNorms(
  linear: f32, base: usize, norm: f32, d: Desc, features: usize, values: usize, slots: u32,
): f32 {
  if (values) {
    if (d.tableFormat == F16) return fromNorms(F16, false, linear, base, norm, d, features, values, slots);
    return fromNorms(I8, false, linear, base, norm, d, features, values, slots);
  }
  if (d.tableFormat == F16) return fromNorms(F16, true, linear, base, norm, d, features, 0, slots);
  return fromNorms(I8, true, linear, base, norm, d, features, 0, slots);
}

/** An f16 at the address. */
@inline
function float16(at: usize): f32 {
  const bits = <i32>load<i16>(at);
  return reinterpret<f32>((bits << 13) & 0x8fffe000) * F16_SCALE;
}

@inline
function begin(FORMAT: u32, d: Desc): void {
  const SHIFT: usize = 2 - laneShift(FORMAT);
  for (let j: u32 = 0; j <= d.n; j++) {
    const record = d.table + <usize>j * d.recordBytes, tail = tailOf(FORMAT, d, record);
    if (FORMAT == F16) store<f32>(tail, 1);
    const x = f32x4.splat(load<f32>(tail));
    let sum = zero();
    for (let k: usize = 0, end = <usize>d.Kp << 2; k < end; k += 16) {
      const v = f32x4.mul(x, lanes4(FORMAT, record + (k >> SHIFT)));
      sum = madd(v, v, sum);
    }
    store<f32>(tail, hsum(sum), 8);
    store<f32>(tail, float16(tail + 6), 12);
  }
}

/** What follows from a small table: of every record Σ v² and w as f32. */
export function tableBegin(d: Desc): void {
  if (d.tableFormat == F16) begin(F16, d);
  else if (d.tableFormat == I8) begin(I8, d);
}

@inline
function linearTermsOf(FORMAT: u32, out: usize, d: Desc, features: usize, values: usize, slots: u32): void {
  for (let i: usize = 0, end = <usize>slots << 2; i < end; i += 4) {
    const w = weightOf(FORMAT, d, d.table + <usize>load<u32>(features + i) * d.recordBytes);
    store<f64>(out + (i << 1), <f64>w * <f64>(values ? load<f32>(values + i) : 1));
  }
}

/**
 * w[j_s] x_s of each slot.
 *
 * @param out out f64[slots]
 */
export function linearTerms(out: usize, d: Desc, features: usize, values: usize, slots: u32): void {
  if (d.tableFormat == F16) linearTermsOf(F16, out, d, features, values, slots);
  else if (d.tableFormat == I8) linearTermsOf(I8, out, d, features, values, slots);
  else linearTermsOf(F32, out, d, features, values, slots);
}

/** Two lanes of a ⊙ b, in f64, added to sum; weighted by gain where there is one. */
@inline
function maddWide(sum: v128, a: v128, b: v128, gain: usize): v128 {
  let e = f64x2.mul(f64x2.promote_low_f32x4(a), f64x2.promote_low_f32x4(b));
  if (gain) e = f64x2.mul(e, v128.load(gain));
  return f64x2.add(sum, e);
}

@inline
function pairTermsOf(
  FORMAT: u32, out: usize, d: Desc, gain: usize, features: usize, values: usize, s: u32, slots: u32,
): void {
  const laneBytes = <usize>d.Kp << 2;
  const SHIFT: usize = 2 - laneShift(FORMAT);
  const vs = d.table + <usize>load<u32>(features + (<usize>s << 2)) * d.recordBytes;
  const xs = f32x4.splat(factor(FORMAT, d, vs, values ? load<f32>(values + (<usize>s << 2)) : 1));
  for (let t = <usize>(s + 1) << 2, end = <usize>slots << 2; t < end; t += 4, out += 8) {
    const vt = d.table + <usize>load<u32>(features + t) * d.recordBytes;
    const xt = f32x4.splat(factor(FORMAT, d, vt, values ? load<f32>(values + t) : 1));
    let sum = f64x2.splat(0);
    for (let k: usize = 0; k < laneBytes; k += 16) {
      const a = f32x4.mul(xs, lanes4(FORMAT, vs + (k >> SHIFT))), b = f32x4.mul(xt, lanes4(FORMAT, vt + (k >> SHIFT)));
      const g = gain ? gain + (k << 1) : 0;
      sum = maddWide(sum, a, b, g);
      sum = maddWide(sum, v128.shuffle<f32>(a, a, 2, 3, 0, 1), v128.shuffle<f32>(b, b, 2, 3, 0, 1), gain ? g + 16 : 0);
    }
    store<f64>(out, f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1));
  }
}

/**
 * What the pairs of slot s with those behind it add to an FM: Σ_k g[k] v[s,k] x_s v[t,k] x_t for t = s + 1 … slots - 1.
 *
 * @param out  out f64[slots - s - 1]
 * @param gain in  f64[Kp] g, or 0 when all are 1
 */
export function pairTerms(out: usize, d: Desc, gain: usize, features: usize, values: usize, s: u32, slots: u32): void {
  if (d.tableFormat == F16) pairTermsOf(F16, out, d, gain, features, values, s, slots);
  else if (d.tableFormat == I8) pairTermsOf(I8, out, d, gain, features, values, s, slots);
  else pairTermsOf(F32, out, d, gain, features, values, s, slots);
}
