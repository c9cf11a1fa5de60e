import { Desc, F16, F32, I8 } from "../abi";
import { assertIds } from "../bounds";
import { factor, lanes4, laneShift } from "../records";
import { firstBytes, keepAbove, keepAll, keepBegin, keepHigh, keepLow, keepScale, nextBytes } from "../random";
import { hsum, madd, zero } from "../simd";
import { KEEP_ALL } from "./dropout";

/**
 * Whether two vectors are left beside the blocks of four, as for K = 8. They and w then share one loop: FM K = 8
 * predicts 1.25 × as fast as with a loop for each of the three vectors (Zen 4, Node 20).
 */
@inline
function twoLeft(laneBytes: usize): bool {
  return (laneBytes & 63) == 32;
}

/** What a sum begins with. */
@inline
function start(FROM: bool, base: usize): v128 {
  return FROM ? v128.load(base) : zero();
}

/**
 * Both kernels of the pair term. With FROM, the table may have any format, other slots have left their sums in `base`, and
 * S, if it is wanted, is [ Σ v x | Σ (v x)² ] instead of a score; without, S is [ Σ v x | Σ w x 0 0 0 ].
 */
@inline
function pairwise(
  FORMAT: u32, ONE_HOT: bool, FROM: bool, S: usize, z: usize, base: usize, d: Desc, features: usize, values: usize,
  slots: u32,
): f32 {
  const table = d.table;
  const recordBytes = FORMAT == F32 ? <usize>d.rowFloats << 2 : <usize>d.recordBytes;
  const laneBytes = <usize>d.Kp << 2;
  const slotBytes = <usize>slots << 2;
  const SHIFT: usize = 2 - laneShift(FORMAT), V: usize = 16 >> SHIFT;
  const SCALED = !ONE_HOT || FORMAT == I8;
  const squares = base + laneBytes;
  let total = zero();
  let k: usize = 0;
  // Four vectors at a time: eight accumulators, and a record's cache line is read once.
  for (; k + 64 <= laneBytes; k += 64) {
    const column = table + (k >> SHIFT);
    let s0 = start(FROM, base + k), s1 = start(FROM, base + k + 16), s2 = start(FROM, base + k + 32), s3 = start(FROM, base + k + 48);
    const Q = squares + k;
    let q0 = start(FROM, Q), q1 = start(FROM, Q + 16), q2 = start(FROM, Q + 32), q3 = start(FROM, Q + 48);
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const record = column + <usize>load<u32>(features + i) * recordBytes;
      let v0 = lanes4(FORMAT, record), v1 = lanes4(FORMAT, record + V);
      let v2 = lanes4(FORMAT, record + 2 * V), v3 = lanes4(FORMAT, record + 3 * V);
      if (SCALED) {
        const x = scale4(FORMAT, ONE_HOT, d, record - (k >> SHIFT), values + i);
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
    if (!FROM || S) {
      v128.store(S + k, s0);
      v128.store(S + k, s1, 16);
      v128.store(S + k, s2, 32);
      v128.store(S + k, s3, 48);
    }
    if (FROM && S) {
      const to = S + laneBytes + k;
      v128.store(to, q0);
      v128.store(to, q1, 16);
      v128.store(to, q2, 32);
      v128.store(to, q3, 48);
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
  if (twoLeft(laneBytes)) {
    const column = table + (k >> SHIFT);
    const Q = squares + k;
    let s0 = start(FROM, base + k), s1 = start(FROM, base + k + 16), sw = zero();
    let q0 = start(FROM, Q), q1 = start(FROM, Q + 16);
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const record = column + <usize>load<u32>(features + i) * recordBytes;
      let v0 = lanes4(FORMAT, record), v1 = lanes4(FORMAT, record + V), w = FROM ? zero() : v128.load(record, 32);
      if (SCALED) {
        const x = scale4(FORMAT, ONE_HOT, d, record - (k >> SHIFT), values + i);
        v0 = f32x4.mul(v0, x);
        v1 = f32x4.mul(v1, x);
        if (!FROM) w = f32x4.mul(w, x);
      }
      s0 = f32x4.add(s0, v0);
      s1 = f32x4.add(s1, v1);
      if (!FROM) sw = f32x4.add(sw, w);
      q0 = madd(v0, v0, q0);
      q1 = madd(v1, v1, q1);
    }
    if (!FROM || S) {
      v128.store(S + k, s0);
      v128.store(S + k, s1, 16);
    }
    if (!FROM) v128.store(S + k, sw, 32);
    if (FROM && S) {
      v128.store(S + laneBytes + k, q0);
      v128.store(S + laneBytes + k, q1, 16);
      return 0;
    }
    q0 = f32x4.sub(f32x4.mul(s0, s0), q0);
    q1 = f32x4.sub(f32x4.mul(s1, s1), q1);
    if (z) {
      v128.store(z + k, f32x4.mul(f32x4.splat(0.5), q0));
      v128.store(z + k, f32x4.mul(f32x4.splat(0.5), q1), 16);
    }
    return <f32>0.5 * hsum(f32x4.add(total, f32x4.add(q0, q1)));
  }
  for (; FROM ? k < laneBytes : k <= laneBytes; k += 16) {
    const column = table + (k >> SHIFT);
    let s = start(FROM, base + k), q = start(FROM, squares + k);
    for (let i: usize = 0; i < slotBytes; i += 4) {
      const record = column + <usize>load<u32>(features + i) * recordBytes;
      let v = lanes4(FORMAT, record);
      if (SCALED) v = f32x4.mul(v, scale4(FORMAT, ONE_HOT, d, record - (k >> SHIFT), values + i));
      s = f32x4.add(s, v);
      q = madd(v, v, q);
    }
    if (!FROM || S) v128.store(S + k, s);
    if (!FROM && k == laneBytes) break; // that was w
    if (FROM && S) {
      v128.store(S + laneBytes + k, q);
      continue;
    }
    q = f32x4.sub(f32x4.mul(s, s), q);
    if (z) v128.store(z + k, f32x4.mul(f32x4.splat(0.5), q));
    total = f32x4.add(total, q);
  }
  return <f32>0.5 * hsum(total);
}

/** The value of a slot and the scale of its record, in every lane. */
@inline
function scale4(FORMAT: u32, ONE_HOT: bool, d: Desc, record: usize, value: usize): v128 {
  if (FORMAT == I8) return f32x4.splat(factor(FORMAT, d, record, ONE_HOT ? 1 : load<f32>(value)));
  return v128.load32_splat(value);
}

/**
 * Second-order FM term of one row.   Rendle 2010, lemma 3.1
 *
 *   z[k] = 1/2 [ (Σ_s v[s,k] x[s])² - Σ_s (v[s,k] x[s])² ]
 *
 * `S` is kept for backward: dz[k]/dv[s,k] = x[s] (S[k] - v[s,k] x[s]). Behind it lies the linear part: records are
 * [ v | w 0 0 0 ], so the same sum gives [ Σ_s w[s] x[s] 0 0 0 ].
 *
 * @param S        out  f32[Kp + 4]  Σ_s v[s,k] x[s], and of w behind it      overwritten
 * @param z        out  f32[Kp]      z, or 0 when only its sum is wanted      overwritten
 * @param d        in   table of f32, values
 * @param features in   u32[slots]   feature ids, each <= n
 * @param values   in   f32[slots]   feature values, or 0 when every value is 1
 * @param slots         may be 0
 * @returns Σ_k z[k]
 */
export function pairwiseForward(S: usize, z: usize, d: Desc, features: usize, values: usize, slots: u32): f32 {
  assert(((S | z) & 15) == 0);
  assertIds(d, features, slots);
  if (values) return pairwise(F32, false, false, S, z, 0, d, features, values, slots);
  return pairwise(F32, true, false, S, z, 0, d, features, 0, slots);
}

/**
 * Second-order FM term of a row whose first slots have left their sums, from a table of any format. A context that comes
 * first in the row gives the bits of pairwiseForward.
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
  assertIds(d, features, slots);
  const format = d.tableFormat;
  if (values) {
    if (format == F16) return pairwise(F16, false, true, sums, z, base, d, features, values, slots);
    if (format == I8) return pairwise(I8, false, true, sums, z, base, d, features, values, slots);
    return pairwise(F32, false, true, sums, z, base, d, features, values, slots);
  }
  if (format == F16) return pairwise(F16, true, true, sums, z, base, d, features, 0, slots);
  if (format == I8) return pairwise(I8, true, true, sums, z, base, d, features, 0, slots);
  return pairwise(F32, true, true, sums, z, base, d, features, 0, slots);
}

/**
 * Turns the kept sums of one row into what its features need:   S[k] <- dz[k] S[k]
 *
 * @param S   in/out  f32[Kp]
 * @param dz  in      f32[Kp] dLoss/dz, or 0 when dz[k] = dy for every k
 */
export function pairwiseBackward(S: usize, dz: usize, dy: f32, Kp: u32): void {
  const laneBytes = <usize>Kp << 2;
  if (dz) {
    for (let k: usize = 0; k < laneBytes; k += 16) v128.store(S + k, f32x4.mul(v128.load(S + k), v128.load(dz + k)));
  } else {
    const g = f32x4.splat(dy);
    for (let k: usize = 0; k < laneBytes; k += 16) v128.store(S + k, f32x4.mul(v128.load(S + k), g));
  }
}

/** What stands for a lane of a row's sums that dropout has dropped: a lane that is kept is never -0. */
@inline
function dropped(): v128 {
  return f32x4.splat(-0.0);
}

/**
 * Dropout of a row's pair term, without its scale. Dropped lanes of the sums are marked, so that nobody needs the mask later.
 *
 * @param S   in/out f32[Kp]
 * @param z   in     f32[Kp]
 * @param key        of the row's mask
 * @returns Σ_k z[k] over the lanes that are kept
 */
export function pairwiseDropout(S: usize, z: usize, key: u32, threshold: u32, Kp: u32): f32 {
  const high = keepHigh(threshold), low = keepLow(threshold);
  const h = firstBytes(key), above = keepAbove(h, high, low);
  let bytes = keepBegin(h, low, keepAll(high)), sum = zero();
  for (const end = z + (<usize>Kp << 2); z < end; bytes = nextBytes(bytes)) {
    // Four lanes after the other: the mask of the next in front.
    let mask = i8x16.gt_s(above, bytes);
    for (const blockEnd = min(end, z + 64); z < blockEnd; z += 16, S += 16) {
      const kept = i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(mask));
      sum = f32x4.add(sum, v128.and(v128.load(z), kept));
      v128.store(S, v128.bitselect(f32x4.add(v128.load(S), zero()), dropped(), kept));
      mask = v128.shuffle<i32>(mask, mask, 1, 2, 3, 0);
    }
  }
  return hsum(sum);
}

/** pairwiseBackward after pairwiseDropout: S[k] <- dy S[k], and dropped lanes stay marked. */
export function pairwiseKeptBackward(S: usize, dy: f32, Kp: u32): void {
  const g = f32x4.splat(dy);
  for (const end = S + (<usize>Kp << 2); S < end; S += 16) {
    const s = v128.load(S);
    v128.store(S, v128.bitselect(dropped(), f32x4.add(f32x4.mul(s, g), zero()), i32x4.eq(s, dropped())));
  }
}

/** Of Σ_b x_b² dz_b: what a row with dropout adds. */
@inline
function keptTerm(sum: v128, S: v128, term: v128): v128 {
  return f32x4.add(sum, v128.andnot(term, i32x4.eq(S, dropped())));
}

/** sum - q v, with the scale of dropout */
@inline
function laneGradient(KEPT: bool, scale: v128, sum: v128, q: v128, v: v128): v128 {
  const g = f32x4.sub(sum, f32x4.mul(q, v));
  return KEPT ? f32x4.mul(scale, g) : g;
}

/** recordGradient from byte k on, and dw, where dz differs by lane: by batch norm or dropout, whatever the values. */
function lanesOfRecord(g: usize, record: usize, d: Desc, begin: usize, end: usize, k: usize): void {
  const rowBytes = <usize>d.rowFloats << 2, laneBytes = <usize>d.Kp << 2;
  const scale = f32x4.splat(d.rowDz ? 1 : keepScale(d.keepProducts));
  for (; k < laneBytes; k += 16) {
    let sum = zero(), q = zero();
    for (let i = begin; i < end; i += 4) {
      const row = <usize>load<u32>(d.occIndex + i), at = k + row * rowBytes, S = v128.load(d.rowSum + at);
      const x = d.values ? v128.load32_splat(d.occValue + i) : f32x4.splat(1);
      sum = madd(x, S, sum);
      if (d.rowDz) q = madd(f32x4.mul(x, x), v128.load(d.rowDz + at), q);
      else q = keptTerm(q, S, f32x4.mul(x, f32x4.mul(x, v128.load32_splat(d.rowDy + (row << 2)))));
    }
    v128.store(g + k, laneGradient(true, scale, sum, q, v128.load(record + k)));
  }
  let dw: f32 = 0;
  for (let i = begin; i < end; i += 4) {
    const dy = load<f32>(d.rowDy + (<usize>load<u32>(d.occIndex + i) << 2));
    dw += d.values ? load<f32>(d.occValue + i) * dy : dy;
  }
  v128.store(g + laneBytes, f32x4.replace_lane(zero(), 0, dw));
}

/**
 * Gradient of one record [ v | w ] of the FM table, summed over its occurrences in row order:
 *
 *   dv[k] = Σ_b x_b (dz_b[k] S_b[k]) - v[k] Σ_b x_b² dz_b[k],   dw = Σ_b x_b dy_b
 *
 * @param KEPT    with dropout, and all values 1: rows hold what pairwiseDropout has marked, and dz_b[k] is dy_b or 0
 * @param g       out  f32[rowFloats]     overwritten
 * @param record  in   f32[rowFloats]     v
 * @param d       in   rowSum after pairwiseBackward, rowDy; rowDz when dz differs by lane
 * @param from    first occurrence of the feature
 * @param to      one behind the last
 */
@inline
function recordGradient(ONE_HOT: bool, KEPT: bool, g: usize, record: usize, d: Desc, from: u32, to: u32): void {
  const rowSum = d.rowSum, dys = d.rowDy;
  const rowBytes = <usize>d.rowFloats << 2;
  const laneBytes = <usize>d.Kp << 2;
  const index = d.occIndex;
  const value = d.occValue;
  const begin = <usize>from << 2, end = <usize>to << 2;
  const scale = KEPT ? f32x4.splat(keepScale(d.keepProducts)) : zero();

  // dw first: it has the factor of v.
  let dw: f32 = 0, squares: f32 = 0;
  for (let i = begin; i < end && !KEPT; i += 4) {
    const dy = load<f32>(dys + (<usize>load<u32>(index + i) << 2));
    if (ONE_HOT) {
      dw += dy;
    } else {
      const x = load<f32>(value + i), xdy = x * dy;
      dw += xdy;
      squares += x * xdy;
    }
  }
  if (!KEPT) v128.store(g + laneBytes, f32x4.replace_lane(zero(), 0, dw));

  const q = KEPT ? zero() : f32x4.splat(ONE_HOT ? dw : squares);
  let k: usize = 0;
  for (; k + 64 <= laneBytes; k += 64) {
    const column = rowSum + k;
    let g0 = zero(), g1 = zero(), g2 = zero(), g3 = zero();
    let q0 = q, q1 = q, q2 = q, q3 = q;
    for (let i = begin; i < end; i += 4) {
      const row = <usize>load<u32>(index + i), S = column + row * rowBytes;
      if (KEPT) {
        const s0 = v128.load(S), s1 = v128.load(S, 16), s2 = v128.load(S, 32), s3 = v128.load(S, 48);
        const dy = v128.load32_splat(dys + (row << 2));
        g0 = f32x4.add(g0, s0);
        g1 = f32x4.add(g1, s1);
        g2 = f32x4.add(g2, s2);
        g3 = f32x4.add(g3, s3);
        q0 = keptTerm(q0, s0, dy);
        q1 = keptTerm(q1, s1, dy);
        q2 = keptTerm(q2, s2, dy);
        q3 = keptTerm(q3, s3, dy);
      } else if (ONE_HOT) {
        g0 = f32x4.add(g0, v128.load(S));
        g1 = f32x4.add(g1, v128.load(S, 16));
        g2 = f32x4.add(g2, v128.load(S, 32));
        g3 = f32x4.add(g3, v128.load(S, 48));
      } else {
        const x = v128.load32_splat(value + i);
        g0 = madd(x, v128.load(S), g0);
        g1 = madd(x, v128.load(S, 16), g1);
        g2 = madd(x, v128.load(S, 32), g2);
        g3 = madd(x, v128.load(S, 48), g3);
      }
    }
    v128.store(g + k, laneGradient(KEPT, scale, g0, q0, v128.load(record + k)));
    v128.store(g + k, laneGradient(KEPT, scale, g1, q1, v128.load(record + k, 16)), 16);
    v128.store(g + k, laneGradient(KEPT, scale, g2, q2, v128.load(record + k, 32)), 32);
    v128.store(g + k, laneGradient(KEPT, scale, g3, q3, v128.load(record + k, 48)), 48);
  }
  if (KEPT) return lanesOfRecord(g, record, d, begin, end, k);
  for (; k < laneBytes; k += 16) {
    const column = rowSum + k;
    let g0 = zero();
    for (let i = begin; i < end; i += 4) {
      const S = v128.load(column + <usize>load<u32>(index + i) * rowBytes);
      g0 = ONE_HOT ? f32x4.add(g0, S) : madd(v128.load32_splat(value + i), S, g0);
    }
    v128.store(g + k, f32x4.sub(g0, f32x4.mul(q, v128.load(record + k))));
  }
}

export function pairwiseRecordGradient(g: usize, record: usize, d: Desc, from: u32, to: u32): void {
  assert(((g | record) & 15) == 0 && from <= to);
  const drops = d.keepProducts < KEEP_ALL;
  if (d.rowDz || (drops && d.values)) lanesOfRecord(g, record, d, <usize>from << 2, <usize>to << 2, 0);
  else if (drops) recordGradient(true, true, g, record, d, from, to);
  else if (d.values) recordGradient(false, false, g, record, d, from, to);
  else recordGradient(true, false, g, record, d, from, to);
}
