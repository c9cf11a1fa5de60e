import { Desc, F16, F32, I8 } from "../abi";
import { assertIds, assertPlaces } from "../bounds";
import { decode, F16_SCALE, factor, lanes4, laneShift, tailOf, weightOf } from "../records";
import { hsum, madd, storeTransposed, zero } from "../simd";

/*
 * Kernels that read the table in each of its formats (records.ts): prediction from small tables, and what candidates have
 * beside their context.
 */

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
  assertIds(d, features, slots);
  if (d.tableFormat == F16) return linear(F16, sum, d, features, values, slots);
  if (d.tableFormat == I8) return linear(I8, sum, d, features, values, slots);
  return linear(F32, sum, d, features, values, slots);
}

@inline
function gather(
  FORMAT: u32, ONE_HOT: bool, slots: usize, d: Desc, at: usize, features: usize, values: usize, count: u32,
): u32 {
  const laneBytes = <usize>d.Kp << 2;
  let known: u32 = 0;
  for (let i: usize = 0, end = <usize>count << 2; i < end; i += 4) {
    const j = load<u32>(features + i);
    known += u32(j != d.n);
    const to = slots + (at ? <usize>load<u32>(at + i) : i >> 2) * laneBytes;
    decode(FORMAT, ONE_HOT, to, d, d.table + <usize>j * d.recordBytes, ONE_HOT ? 1 : load<f32>(values + i));
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
  assertIds(d, features, count);
  assertPlaces(d, at, count);
  if (values) {
    if (d.tableFormat == F16) return gather(F16, false, slots, d, at, features, values, count);
    if (d.tableFormat == I8) return gather(I8, false, slots, d, at, features, values, count);
    return gather(F32, false, slots, d, at, features, values, count);
  }
  if (d.tableFormat == F16) return gather(F16, true, slots, d, at, features, 0, count);
  if (d.tableFormat == I8) return gather(I8, true, slots, d, at, features, 0, count);
  return gather(F32, true, slots, d, at, features, 0, count);
}

@inline
function four(FORMAT: u32, out: usize, d: Desc, features: usize, values: usize): void {
  const table = d.table, bytes = <usize>d.recordBytes, V: usize = 16 >> (2 - laneShift(FORMAT));
  let r0 = table + <usize>load<u32>(features) * bytes, r1 = table + <usize>load<u32>(features, 4) * bytes;
  let r2 = table + <usize>load<u32>(features, 8) * bytes, r3 = table + <usize>load<u32>(features, 12) * bytes;
  const x0 = f32x4.splat(factor(FORMAT, d, r0, load<f32>(values))), x1 = f32x4.splat(factor(FORMAT, d, r1, load<f32>(values, 4)));
  const x2 = f32x4.splat(factor(FORMAT, d, r2, load<f32>(values, 8))), x3 = f32x4.splat(factor(FORMAT, d, r3, load<f32>(values, 12)));
  for (const end = out + (<usize>d.Kp << 4); out < end; out += 64, r0 += V, r1 += V, r2 += V, r3 += V) {
    const v0 = f32x4.mul(x0, lanes4(FORMAT, r0)), v1 = f32x4.mul(x1, lanes4(FORMAT, r1));
    const v2 = f32x4.mul(x2, lanes4(FORMAT, r2)), v3 = f32x4.mul(x3, lanes4(FORMAT, r3));
    storeTransposed(out, 16, v0, v1, v2, v3);
  }
}

/**
 * A slot of four rows, side by side: x v[j].
 *
 * @param out      out f32[Kp, 4]
 * @param features in  u32[4], each <= n
 * @param values   in  f32[4]
 */
export function gatherFour(out: usize, d: Desc, features: usize, values: usize): void {
  assertIds(d, features, 4);
  if (d.tableFormat == F16) four(F16, out, d, features, values);
  else if (d.tableFormat == I8) four(I8, out, d, features, values);
  else four(F32, out, d, features, values);
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
  assertIds(d, features, slots);
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
  assert(s < slots);
  assertIds(d, features, slots);
  if (d.tableFormat == F16) pairTermsOf(F16, out, d, gain, features, values, s, slots);
  else if (d.tableFormat == I8) pairTermsOf(I8, out, d, gain, features, values, s, slots);
  else pairTermsOf(F32, out, d, gain, features, values, s, slots);
}
