/**
 * exp, tanh, sigmoid, log1p on four f32 lanes, and exp, log, log1p in f64 for sums.
 *
 * Own code, because JavaScript's Math differs between engines: IEEE-754 basic operations only, no table, nothing fused
 * or relaxed, so the bits are the same everywhere. The coefficients are minimax fits made for this file.
 *
 * "Max ULP" is the largest error in units of the last place of the exact result. For f32 it is over all 2^32 inputs
 * (`node tools/ulp.js`), for f64 over 10^6 (`ULP_SAMPLES=1000000 npx vitest run test/kernels/math.test.ts`); the tests
 * assert it on a sample. "Ops" counts instructions of WebAssembly, constants aside.
 */
import { madd } from "./simd";

// ln2 in two parts (Cody & Waite 1980). The first has 9 trailing zero bits, so n * LN2_HI is exact for |n| < 512.
@inline
const LN2_HI: f32 = 0.693145751953125; // 0x1.62e4p-1
@inline
const LN2_LO: f32 = 1.428606765330187e-6;
@inline
const LOG2E: f32 = 1.4426950216293335;

// Adding 1.5 * 2^23 rounds to an integer n and leaves it in the low bits. With 127 more, these bits are the exponent
// field of 2^n, and a shift by 23 makes the number.
@inline
const ROUND: f32 = 12582912 + 127;

/** x - n ln2; the first step is exact */
@inline
function reduce(x: v128, n: v128): v128 {
  const r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(LN2_HI)));
  return f32x4.sub(r, f32x4.mul(n, f32x4.splat(LN2_LO)));
}

/** e^r - 1 = r + r^2 q(r) for |r| <= ln2 / 2, q minimax of degree 4; relative to e^r 2^-28.2 before rounding. */
@inline
function expm1Reduced(r: v128): v128 {
  let q = madd(f32x4.splat(0.001383890281431377), r, f32x4.splat(0.008369192481040955));
  q = madd(q, r, f32x4.splat(0.04166810214519501));
  q = madd(q, r, f32x4.splat(0.16666516661643982));
  q = madd(q, r, f32x4.splat(0.4999999403953552));
  return f32x4.add(r, f32x4.mul(f32x4.mul(r, r), q));
}

/**
 * e^x = 2^n e^r, n = round(x / ln2), r = x - n ln2.
 *
 * Max ULP 0.9887 on [-86.989967, 88.722832], +Infinity above, 0 below (from 2^-125.5 on; no subnormal is made).
 * e^0 = 1 exactly; NaN stays NaN. 24 ops.
 */
@inline
export function exp4(x: v128): v128 {
  // pmin(x, c) is c < x ? c : x: one instruction, and NaN stays.
  const a = f32x4.pmax(f32x4.pmin(x, f32x4.splat(89)), f32x4.splat(-87.3));
  // 2^(n-1) times 2 e^r: n reaches 128, and 2^128 is not a number. n = -126 gives the factor 0.
  const t = f32x4.add(f32x4.mul(a, f32x4.splat(LOG2E)), f32x4.splat(ROUND - 1));
  const p = expm1Reduced(reduce(a, f32x4.sub(t, f32x4.splat(ROUND - 1))));
  return f32x4.mul(f32x4.add(f32x4.add(p, p), f32x4.splat(2)), i32x4.shl(t, 23));
}

/**
 * e^x for x <= 0, as softmax and sigmoid need it: exp4 without the upper border.
 *
 * Max ULP 0.9887 on [-87.683113, 0] (subnormals below -87.3365), 0 below; NaN stays NaN; x > 0 is not allowed. 22 ops.
 */
@inline
export function expNegative4(x: v128): v128 {
  const a = f32x4.pmax(x, f32x4.splat(-88));
  const t = f32x4.add(f32x4.mul(a, f32x4.splat(LOG2E)), f32x4.splat(ROUND));
  const p = expm1Reduced(reduce(a, f32x4.sub(t, f32x4.splat(ROUND))));
  return f32x4.mul(f32x4.add(p, f32x4.splat(1)), i32x4.shl(t, 23));
}

/**
 * sigmoid(x) = 1 / (1 + e^-x) = (x < 0 ? e : 1) / (1 + e), e = e^-|x|: no overflow on either side.
 *
 * Max ULP 2.402 on [-87.683113, Infinity], 0 below; sigmoid(0) = 1/2 exactly; NaN stays NaN. 27 ops.
 */
@inline
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1);
  const e = expNegative4(v128.or(x, f32x4.splat(-0.0)));
  return f32x4.div(v128.bitselect(e, one, i32x4.shr_s(x, 31)), f32x4.add(one, e));
}

/**
 * tanh(x) = sign(x) E / (E + 2), E = e^2|x| - 1 = 2^n (e^r - 1) + (2^n - 1): no cancellation near 0.
 *
 * Max ULP 2.6682 everywhere; exactly odd, tanh(0) = 0 (padding lanes stay 0), |tanh| <= 1; NaN stays NaN. 28 ops.
 */
@inline
export function tanh4(x: v128): v128 {
  const one = f32x4.splat(1);
  const y = f32x4.abs(x);
  const a = f32x4.pmin(f32x4.add(y, y), f32x4.splat(20)); // tanh(9.02) rounds to 1
  const t = f32x4.add(f32x4.mul(a, f32x4.splat(LOG2E)), f32x4.splat(ROUND));
  const p = expm1Reduced(reduce(a, f32x4.sub(t, f32x4.splat(ROUND))));
  const s = i32x4.shl(t, 23);
  const E = madd(s, p, f32x4.sub(s, one));
  return v128.bitselect(x, f32x4.div(E, f32x4.add(E, f32x4.splat(2))), f32x4.splat(-0.0));
}

/**
 * log1p(x) = k ln2 + log(1 + f), where 1 + x = 2^k (1 + f), 3/4 <= 1 + f < 3/2.
 *
 * f = 2^-k x + (2^-k - 1), which is x itself when k = 0: nothing of a small x is lost.
 * log(1 + f) = f - (h - s (h + R)), h = f^2 / 2, s = f / (2 + f), R = log(1 + f) / s - 2 as in fdlibm's e_log.c,
 * R a minimax polynomial in s^2 of degree 4.
 *
 * Max ULP 0.9044 for x > -1; log1p(0) = 0; +Infinity and NaN stay; x <= -1 gives NaN. 34 ops.
 */
@inline
export function log1p4(x: v128): v128 {
  const one = f32x4.splat(1);
  // k in the place of the exponent; 0x3f400000 is 3/4. Near this border f is exact; sqrt(1/2) gave 1.40 ULP.
  const shift = v128.and(i32x4.sub(f32x4.add(x, one), i32x4.splat(0x3f400000)), i32x4.splat(0xff800000));
  const scale = i32x4.max_s(i32x4.sub(one, shift), i32x4.splat(0)); // 2^-k, 0 for k = 128
  const f = f32x4.add(i32x4.sub(x, shift), f32x4.sub(scale, one));
  const k = f32x4.convert_i32x4_s(i32x4.shr_s(shift, 23));
  const s = f32x4.div(f, f32x4.add(f, f32x4.splat(2)));
  const z = f32x4.mul(s, s);
  let R = madd(f32x4.splat(0.2415148913860321), z, f32x4.splat(0.2850351929664612));
  R = madd(R, z, f32x4.splat(0.4000093340873718));
  R = madd(R, z, f32x4.splat(0.6666666269302368));
  const h = f32x4.mul(f32x4.mul(f, f), f32x4.splat(0.5));
  const tail = madd(k, f32x4.splat(LN2_LO), f32x4.mul(s, madd(R, z, h)));
  const y = madd(k, f32x4.splat(LN2_HI), f32x4.sub(f, f32x4.sub(h, tail)));
  const inside = v128.bitselect(y, x, f32x4.lt(x, f32x4.splat(Infinity)));
  return v128.or(inside, f32x4.le(x, f32x4.splat(-1)));
}

/** Lane 0 of the function above, for single numbers: the same bits. */
@inline
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

@inline
export function tanh1(x: f32): f32 {
  return f32x4.extract_lane(tanh4(f32x4.splat(x)), 0);
}

@inline
export function sigmoid1(x: f32): f32 {
  return f32x4.extract_lane(sigmoid4(f32x4.splat(x)), 0);
}

@inline
export function log1p1(x: f32): f32 {
  return f32x4.extract_lane(log1p4(f32x4.splat(x)), 0);
}

@inline
const LN2_HI64: f64 = 0.6931471803691238; // 0x1.62e42feep-1: 20 trailing zero bits
@inline
const LN2_LO64: f64 = 1.9082149292705877e-10;

/** c + x q, a step of Horner's rule. */
@inline
function horner2(c: f64, x: v128, q: v128): v128 {
  return f64x2.add(f64x2.splat(c), f64x2.mul(x, q));
}

/** 2^k of the two f64 lanes, k in the low two lanes of i32, -1022 <= k <= 1023. */
@inline
function power2(k: v128): v128 {
  return i64x2.shl(i64x2.extend_low_i32x4_s(i32x4.add(k, i32x4.splat(1023))), 52);
}

/**
 * e^x = 2^n e^r as above on two f64 lanes, x <= 0. Max ULP 0.85, subnormal results included; 0 below -745.13; NaN stays.
 *
 * r = hi - lo with its rounding error c; e^r = 1 + (r + (c + r^2 (1/2 + r q(r)))), q minimax of degree 9: 2^-60.
 */
@inline
export function expNegative2(x: v128): v128 {
  const n = f64x2.nearest(f64x2.mul(x, f64x2.splat(1.4426950408889634)));
  const hi = f64x2.sub(x, f64x2.mul(n, f64x2.splat(LN2_HI64)));
  const lo = f64x2.mul(n, f64x2.splat(LN2_LO64));
  const r = f64x2.sub(hi, lo);
  const c = f64x2.sub(f64x2.sub(hi, r), lo);
  let q = horner2(2.511126727815847e-8, r, f64x2.splat(2.0838715318385786e-9));
  q = horner2(2.755752543865128e-7, r, q);
  q = horner2(2.7557237390058813e-6, r, q);
  q = horner2(2.4801587026446125e-5, r, q);
  q = horner2(1.9841269893412845e-4, r, q);
  q = horner2(0.0013888888889032746, r, q);
  q = horner2(0.008333333333318494, r, q);
  q = horner2(0.041666666666666415, r, q);
  q = horner2(0.1666666666666668, r, q);
  const tail = f64x2.add(c, f64x2.mul(f64x2.mul(r, r), horner2(0.5, r, q)));
  const p = f64x2.add(f64x2.splat(1), f64x2.add(r, tail));
  // 2^n in two factors: n runs from -1075 to 0.
  const k = i32x4.trunc_sat_f64x2_s_zero(n);
  const half = i32x4.shr_s(k, 1);
  const y = f64x2.mul(f64x2.mul(p, power2(half)), power2(i32x4.sub(k, half)));
  return v128.andnot(y, f64x2.lt(x, f64x2.splat(-745.1332191019412)));
}

/**
 * log(1 + x) on two f64 lanes, 0 <= x <= 1: log1p4's formula with k = 0, or 1 from √2 on, R to 2^-58.9; the
 * rounding error of f goes into the correction. Max ULP 0.81; NaN stays.
 */
@inline
export function log1pUnit2(x: v128): v128 {
  const one = f64x2.splat(1);
  const upper = f64x2.ge(f64x2.add(one, x), f64x2.splat(1.4142135623730951));
  const a = v128.bitselect(f64x2.mul(x, f64x2.splat(0.5)), x, upper);
  const b = v128.and(upper, f64x2.splat(-0.5));
  const k = v128.and(upper, one);
  const f = f64x2.add(a, b);
  // two-sum: the rounding error of f
  const bb = f64x2.sub(f, a);
  const e = f64x2.add(f64x2.sub(a, f64x2.sub(f, bb)), f64x2.sub(b, bb));
  const c = f64x2.div(e, f64x2.add(one, f));
  const s = f64x2.div(f, f64x2.add(f64x2.splat(2), f));
  const z = f64x2.mul(s, s);
  let R = horner2(0.1531397648566438, z, f64x2.splat(0.14796732371776758));
  R = horner2(0.18183567051932154, z, R);
  R = horner2(0.22222198524138756, z, R);
  R = horner2(0.28571428742830746, z, R);
  R = horner2(0.3999999999941285, z, R);
  R = f64x2.mul(z, horner2(0.6666666666666735, z, R));
  const h = f64x2.mul(f64x2.mul(f64x2.splat(0.5), f), f);
  const correction = f64x2.add(f64x2.mul(k, f64x2.splat(LN2_LO64)), c);
  const tail = f64x2.add(f64x2.mul(s, f64x2.add(h, R)), correction);
  const low = f64x2.sub(f, f64x2.sub(h, tail));
  return f64x2.add(f64x2.mul(k, f64x2.splat(LN2_HI64)), low);
}

/** log(x), log1p4's formula. Max ULP 0.82, subnormal x included; log(0) = -Infinity, NaN for x < 0. */
export function log64(x: f64): f64 {
  if (!(x > 0)) return x == 0 ? -Infinity : NaN;
  if (x == Infinity) return x;
  let k: i64 = 0;
  if (x < 2.2250738585072014e-308) {
    x *= 18014398509481984; // 2^54
    k = -54;
  }
  const bits = reinterpret<i64>(x) - 0x3fe6a09e667f3bcd;
  k += bits >> 52;
  const f = reinterpret<f64>((bits & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd) - 1;
  const s = f / (2 + f);
  const z = s * s;
  let R = 0.1531397648566438 + z * 0.14796732371776758;
  R = 0.18183567051932154 + z * R;
  R = 0.22222198524138756 + z * R;
  R = 0.28571428742830746 + z * R;
  R = 0.3999999999941285 + z * R;
  R = z * (0.6666666666666735 + z * R);
  const h = 0.5 * f * f;
  return <f64>k * LN2_HI64 + (f - (h - (s * (h + R) + <f64>k * LN2_LO64)));
}
