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
  // Sign and exponent move to where f32 has them; the sign-extended bits between are masked.
  return v128.and(i32x4.shl(v128.load16x4_s(at), 13), i32x4.splat(0x8fffe000));
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
