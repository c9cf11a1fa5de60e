import { Desc, F16, I8 } from "../abi";
import { assertIds } from "../bounds";
import { F16_SCALE, lanes4, laneShift, tiny4 } from "../records";
import { hsum, madd, zero } from "../simd";

/*
 * FM from a small table. Σ_k Σ_s (v[s,k] x_s)² is a sum of the norms that records have, so that only Σ v x is summed lane
 * by lane; of each eight lanes the even ones first, which is one operation less than in their order.
 */

/** Even lanes of eight, of f16 2^-112 their size. */
@inline
function even4(FORMAT: u32, lanes: v128): v128 {
  if (FORMAT == F16) return v128.and(i32x4.dot_i16x8_s(lanes, i32x4.splat(8192)), i32x4.splat(0x8fffe000));
  return f32x4.convert_i32x4_s(i32x4.dot_i16x8_s(lanes, i32x4.splat(1)));
}

/** Odd lanes. */
@inline
function odd4(FORMAT: u32, lanes: v128): v128 {
  if (FORMAT == F16) return v128.and(i32x4.shr_s(lanes, 3), i32x4.splat(0x8fffe000));
  return f32x4.convert_i32x4_s(i32x4.shr_s(lanes, 16));
}

/** Eight lanes in 16 bits each. */
@inline
function lanes8(FORMAT: u32, at: usize): v128 {
  return FORMAT == F16 ? v128.load(at) : v128.load8x8_s(at);
}

/** s + x v of four lanes; f16 not yet scaled. */
@inline
function addLanes(ONE: bool, s: v128, v: v128, x: v128): v128 {
  return f32x4.add(s, ONE ? v : f32x4.mul(x, v));
}

/** (base + s)² of four lanes. */
@inline
function square(FORMAT: u32, s: v128, base: usize): v128 {
  let all = FORMAT == F16 ? f32x4.mul(s, f32x4.splat(F16_SCALE)) : s;
  if (base) all = f32x4.add(v128.load(base), all);
  return f32x4.mul(all, all);
}

/** The same of eight lanes, from lane k on, in pairs. */
@inline
function squares2(FORMAT: u32, s0: v128, s1: v128, base: usize, k: usize): v128 {
  const S = base ? base + (k << 2) : 0;
  return f32x4.add(square(FORMAT, s0, S), square(FORMAT, s1, S ? S + 16 : 0));
}

/** sum + [ . . x² Σ v² | x w ] of a record. */
@inline
function addTail(ONE_HOT: bool, sum: v128, tail: v128, value: usize): v128 {
  if (ONE_HOT) return f32x4.add(sum, tail);
  const x = load<f32>(value);
  return madd(f32x4.replace_lane(f32x4.splat(x * x), 3, x), tail, sum);
}

@inline
function scaleOf(FORMAT: u32, ONE_HOT: bool, tail: usize, value: usize): v128 {
  if (FORMAT == F16) return ONE_HOT ? zero() : v128.load32_splat(value);
  return ONE_HOT ? v128.load32_splat(tail) : f32x4.splat(load<f32>(tail) * load<f32>(value));
}

/** The score of a row. */
@inline
function score(
  FORMAT: u32, ONE_HOT: bool, linear: f32, base: usize, norm: f32, table: usize, recordBytes: usize, lanes: usize,
  features: usize, values: usize, slots: u32,
): f32 {
  const slotBytes = <usize>slots << 2, SHIFT = laneShift(FORMAT);
  const ONE = ONE_HOT && FORMAT == F16;
  const toTail = lanes << SHIFT;
  // [ 0 0 norm linear ]
  let tails = f32x4.replace_lane(f32x4.replace_lane(zero(), 2, norm), 3, linear);
  let total = zero();
  let k: usize = 0;
  for (; k + 32 <= lanes; k += 32) {
    let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero(), s4 = zero(), s5 = zero(), s6 = zero(), s7 = zero();
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const record = table + <usize>load<u32>(features + i) * recordBytes;
      const x = scaleOf(FORMAT, ONE_HOT, record + toTail, values + i);
      const at = record + (k << SHIFT);
      const a = lanes8(FORMAT, at);
      const b = FORMAT == F16 ? v128.load(at, 16) : v128.load8x8_s(at, 8);
      const c = FORMAT == F16 ? v128.load(at, 32) : v128.load8x8_s(at, 16);
      const e = FORMAT == F16 ? v128.load(at, 48) : v128.load8x8_s(at, 24);
      s0 = addLanes(ONE, s0, even4(FORMAT, a), x);
      s1 = addLanes(ONE, s1, odd4(FORMAT, a), x);
      s2 = addLanes(ONE, s2, even4(FORMAT, b), x);
      s3 = addLanes(ONE, s3, odd4(FORMAT, b), x);
      s4 = addLanes(ONE, s4, even4(FORMAT, c), x);
      s5 = addLanes(ONE, s5, odd4(FORMAT, c), x);
      s6 = addLanes(ONE, s6, even4(FORMAT, e), x);
      s7 = addLanes(ONE, s7, odd4(FORMAT, e), x);
    }
    const t0 = squares2(FORMAT, s0, s1, base, k), t1 = squares2(FORMAT, s2, s3, base, k + 8);
    const t2 = squares2(FORMAT, s4, s5, base, k + 16), t3 = squares2(FORMAT, s6, s7, base, k + 24);
    total = f32x4.add(total, f32x4.add(f32x4.add(t0, t1), f32x4.add(t2, t3)));
  }
  // Tails come along with the first eight of the lanes that are left: for K = 8 there is no other loop.
  if (k + 8 <= lanes) {
    let s0 = zero(), s1 = zero();
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const record = table + <usize>load<u32>(features + i) * recordBytes, at = record + (k << SHIFT);
      tails = addTail(ONE_HOT, tails, v128.load(record + toTail), values + i);
      const x = scaleOf(FORMAT, ONE_HOT, record + toTail, values + i);
      const a = lanes8(FORMAT, at);
      s0 = addLanes(ONE, s0, even4(FORMAT, a), x);
      s1 = addLanes(ONE, s1, odd4(FORMAT, a), x);
    }
    total = f32x4.add(total, squares2(FORMAT, s0, s1, base, k));
    k += 8;
  } else {
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const record = table + <usize>load<u32>(features + i) * recordBytes;
      tails = addTail(ONE_HOT, tails, v128.load(record + toTail), values + i);
    }
  }
  for (; k + 8 <= lanes; k += 8) {
    let s0 = zero(), s1 = zero();
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const record = table + <usize>load<u32>(features + i) * recordBytes, at = record + (k << SHIFT);
      const x = scaleOf(FORMAT, ONE_HOT, record + toTail, values + i);
      const a = lanes8(FORMAT, at);
      s0 = addLanes(ONE, s0, even4(FORMAT, a), x);
      s1 = addLanes(ONE, s1, odd4(FORMAT, a), x);
    }
    total = f32x4.add(total, squares2(FORMAT, s0, s1, base, k));
  }
  for (; k < lanes; k += 4) {
    let s = zero();
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const record = table + <usize>load<u32>(features + i) * recordBytes, at = record + (k << SHIFT);
      const x = scaleOf(FORMAT, ONE_HOT, record + toTail, values + i);
      s = addLanes(ONE, s, FORMAT == F16 ? tiny4(at) : lanes4(FORMAT, at), x);
    }
    total = f32x4.add(total, square(FORMAT, s, base ? base + (k << 2) : 0));
  }
  return f32x4.extract_lane(tails, 3) + <f32>0.5 * (hsum(total) - f32x4.extract_lane(tails, 2));
}

@inline
function scores(
  FORMAT: u32, ONE_HOT: bool, out: usize, linear: f32, base: usize, d: Desc, table: usize, recordBytes: usize,
  rowPtr: usize, features: usize, values: usize, rows: u32,
): void {
  const lanes = <usize>d.Kp;
  let norm: f32 = 0;
  if (base) norm = load<f32>(base + (lanes << 2));
  for (const end = out + (<usize>rows << 2); out < end; out += 4, rowPtr += 4) {
    const begin = load<u32>(rowPtr), slots = load<u32>(rowPtr, 4) - begin, at = <usize>begin << 2;
    assertIds(d, features + at, slots);
    store<f32>(out, score(FORMAT, ONE_HOT, linear, base, norm, table, recordBytes, lanes, features + at, values + at, slots));
  }
}

/**
 * Scores of rows that follow each other: linear + Σ_s w[j_s] x_s + Σ_k z_k.
 *
 * @param out      out f32[rows]
 * @param linear   of slots that the rows share, and w0
 * @param base     in  f32[Kp + 1] Σ v x of those slots, of each eight lanes the even ones first, and Σ (v x)²; or 0
 * @param rowPtr   in  u32[rows + 1]
 * @param features in  u32[…], each <= n
 * @param values   in  f32[…], or 0 when every value is 1
 */
export function pairwiseNorms(
  out: usize, linear: f32, base: usize, d: Desc, rowPtr: usize, features: usize, values: usize, rows: u32,
): void {
  const table = d.table, bytes = <usize>d.recordBytes;
  if (values) {
    if (d.tableFormat == F16) scores(F16, false, out, linear, base, d, table, bytes, rowPtr, features, values, rows);
    else scores(I8, false, out, linear, base, d, table, bytes, rowPtr, features, values, rows);
  } else if (d.tableFormat == F16) {
    scores(F16, true, out, linear, base, d, table, bytes, rowPtr, features, 0, rows);
  } else {
    scores(I8, true, out, linear, base, d, table, bytes, rowPtr, features, 0, rows);
  }
}
