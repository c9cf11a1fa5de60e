import { Desc, F16, F32, I8 } from "./abi";

/*
 * Records of the table in each of its formats. A record begins with Kp lanes of v; behind them lie
 *
 *   f32   [ w f32, 0 0 0 ]
 *   f16, int8    [ scale f32 | 0, w f16 | Σ v² f32 | w f32 ]      v = scale · lane
 *
 * The second half of that, and the scale of f16, which is 1, follow from the rest: tableBegin. As four floats it can be
 * summed like the lanes of v; half of the sums mean nothing. FORMAT is a constant wherever these are inlined.
 */

/** log2 of the bytes of a lane. */
@inline
export function laneShift(FORMAT: u32): usize {
  return <usize>(FORMAT == F32 ? 2 : FORMAT == F16 ? 1 : 0);
}

/** 2^112: what is between the exponents of f16 and f32. */
export const F16_SCALE: f32 = reinterpret<f32>(0x77800000);

/** Four f16 as f32 of 2^-112 their size: what they are a sum of is scaled once. Finite: no f16 has the highest exponent. */
@inline
export function tiny4(at: usize): v128 {
  return tiny(v128.load16x4_s(at));
}

/** The same of sign-extended bits. Sign and exponent move to where f32 has them; the bits between are masked. */
@inline
export function tiny(bits: v128): v128 {
  return v128.and(i32x4.shl(bits, 13), i32x4.splat(0x8fffe000));
}

/** Four lanes of v at the address, of int8 without their scale. */
@inline
export function lanes4(FORMAT: u32, at: usize): v128 {
  if (FORMAT == F32) return v128.load(at);
  if (FORMAT == F16) return f32x4.mul(tiny4(at), f32x4.splat(F16_SCALE));
  return low4(i16x8.extend_low_i8x16_s(v128.load32_zero(at)));
}

/** The first four of eight int8, loaded as i16. */
@inline
export function low4(lanes: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(lanes));
}

/** The other four. */
@inline
export function high4(lanes: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(lanes));
}

/** Stores x v of a record as f32[Kp]. With ONE_HOT, x is 1. */
@inline
export function decode(FORMAT: u32, ONE_HOT: bool, to: usize, d: Desc, record: usize, x: f32): void {
  const end = to + (<usize>d.Kp << 2);
  const scale = f32x4.splat(FORMAT == F16 ? F16_SCALE : factor(FORMAT, d, record, x)), xs = f32x4.splat(x);
  for (; FORMAT != F32 && to + 64 <= end; to += 64, record += 16 << laneShift(FORMAT)) {
    let v0: v128, v1: v128, v2: v128, v3: v128;
    if (FORMAT == F16) {
      v0 = tiny(v128.load16x4_s(record));
      v1 = tiny(v128.load16x4_s(record, 8));
      v2 = tiny(v128.load16x4_s(record, 16));
      v3 = tiny(v128.load16x4_s(record, 24));
    } else {
      const a = v128.load8x8_s(record), b = v128.load8x8_s(record, 8);
      v0 = low4(a);
      v1 = high4(a);
      v2 = low4(b);
      v3 = high4(b);
    }
    v128.store(to, times(FORMAT, ONE_HOT, v0, scale, xs));
    v128.store(to, times(FORMAT, ONE_HOT, v1, scale, xs), 16);
    v128.store(to, times(FORMAT, ONE_HOT, v2, scale, xs), 32);
    v128.store(to, times(FORMAT, ONE_HOT, v3, scale, xs), 48);
  }
  for (; to < end; to += 16, record += 4 << laneShift(FORMAT)) {
    const v = FORMAT == F16 ? tiny4(record) : lanes4(FORMAT, record);
    v128.store(to, times(FORMAT, ONE_HOT, v, scale, xs));
  }
}

/** Four lanes times the scale of their format, and x where that is not in it. */
@inline
function times(FORMAT: u32, ONE_HOT: bool, v: v128, scale: v128, x: v128): v128 {
  if (FORMAT == F32 && ONE_HOT) return v;
  const scaled = f32x4.mul(v, scale);
  // Not in one factor: 2^112 x may be too large for a float.
  return FORMAT == F16 && !ONE_HOT ? f32x4.mul(scaled, x) : scaled;
}

/** What lies behind the lanes of v. */
@inline
export function tailOf(FORMAT: u32, d: Desc, record: usize): usize {
  return record + (<usize>d.Kp << laneShift(FORMAT));
}

/** x, and the record's scale where it has one. */
@inline
export function factor(FORMAT: u32, d: Desc, record: usize, x: f32): f32 {
  return FORMAT == I8 ? x * load<f32>(tailOf(FORMAT, d, record)) : x;
}

/** w of a record. */
@inline
export function weightOf(FORMAT: u32, d: Desc, record: usize): f32 {
  const tail = tailOf(FORMAT, d, record);
  return FORMAT == F32 ? load<f32>(tail) : load<f32>(tail, 12);
}
