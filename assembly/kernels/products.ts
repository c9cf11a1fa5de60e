import { Desc, maskRowBytes } from "../abi";
import { hsum, hsum4, madd, storeTransposed, zero } from "../simd";
import { PAIR_BYTES } from "./field";
import { MASKED_LANES } from "./masked";

/**
 * The slots of one row: x_s v[j_s], and behind them one row of zeros for the padding pairs.
 *
 * @param slots out  f32[M + 1, Kp]
 * @returns number of slots whose feature the model knows
 */
export function gatherSlots(slots: usize, d: Desc, features: usize, values: usize): u32 {
  const laneBytes = <usize>d.Kp << 2, rowBytes = <usize>d.rowFloats << 2;
  let known: u32 = 0;
  for (let i: usize = 0, end = <usize>d.M << 2; i < end; i += 4, slots += laneBytes) {
    const j = load<u32>(features + i);
    known += u32(j != d.n);
    const v = d.table + <usize>j * rowBytes;
    const x = values ? v128.load32_splat(values + i) : f32x4.splat(1);
    for (let k: usize = 0; k < laneBytes; k += 16) v128.store(slots + k, f32x4.mul(x, v128.load(v + k)));
  }
  for (let k: usize = 0; k < laneBytes; k += 16) v128.store(slots + k, zero());
  return known;
}

/**
 * The pairs of a row of which both features are known: an unknown feature is absent from its row.
 *
 * @param out      out  {s, t, p}[Pp], padded to 4
 * @param features in   u32[M]
 * @returns pairs without the padding
 */
export function knownPairs(out: usize, d: Desc, features: usize): u32 {
  const laneBytes = d.Kp << 2;
  let known: u32 = 0;
  let to = out;
  for (let p: u32 = 0; p < d.activeCount; p++) {
    const pair = d.active + <usize>p * PAIR_BYTES;
    const s = load<u32>(pair), t = load<u32>(pair, 4);
    if (load<u32>(features + (<usize>(s / laneBytes) << 2)) == d.n) continue;
    if (load<u32>(features + (<usize>(t / laneBytes) << 2)) == d.n) continue;
    memory.copy(to, pair, PAIR_BYTES);
    to += PAIR_BYTES;
    known++;
  }
  padPairs(out, known, d);
  return known;
}

/** Behind a list of pairs, up to a multiple of 4: pairs of the zero slot with the zero row of F. */
export function padPairs(pairs: usize, count: u32, d: Desc): void {
  const laneBytes = d.Kp << 2;
  for (let p = count; p & 3; p++) {
    const pair = pairs + <usize>p * PAIR_BYTES;
    store<u32>(pair, d.M * laneBytes);
    store<u32>(pair, d.M * laneBytes, 4);
    store<u32>(pair, d.fieldRows * laneBytes, 8);
  }
}

/** Widens four lanes of a dropout mask. */
@inline
function mask4(mask: usize): v128 {
  return i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(mask)));
}

/**
 * e_p = v_s ⊙ v_t, transposed, and c_p = <e_p, F_p> for some pairs.   Hong et al. 2019, eq. of the field aspect
 *
 * @param products out  f32[Kp, Pp]              e_p as columns
 * @param scores   out  f32[Pp]                  c_p; not with G
 * @param fields   in   f32[fieldRows + 1, Kp]   F_p, the last row zero
 * @param slots    in   f32[M + 1, Kp]
 * @param G        out  f32[Pp, Kp]              e_p ⊙ F_p; or 0
 * @param pairs    in   {s, t, p}[Pp]
 * @param Pp            a multiple of 4
 */
@inline
function products(
  TERMS: bool, products: usize, scores: usize, d: Desc, fields: usize, slots: usize, G: usize, pairs: usize, Pp: u32,
): void {
  const laneBytes = <usize>d.Kp << 2;
  const rowBytes = <usize>Pp << 2;
  assert((Pp & 3) == 0 && ((products | slots | fields | G) & 15) == 0);
  for (const end = products + rowBytes; products < end; products += 16, scores += 16, pairs += 4 * PAIR_BYTES) {
    const s0 = slots + <usize>load<u32>(pairs), t0 = slots + <usize>load<u32>(pairs, 4);
    const s1 = slots + <usize>load<u32>(pairs, 12), t1 = slots + <usize>load<u32>(pairs, 16);
    const s2 = slots + <usize>load<u32>(pairs, 24), t2 = slots + <usize>load<u32>(pairs, 28);
    const s3 = slots + <usize>load<u32>(pairs, 36), t3 = slots + <usize>load<u32>(pairs, 40);
    const F0 = fields + <usize>load<u32>(pairs, 8), F1 = fields + <usize>load<u32>(pairs, 20);
    const F2 = fields + <usize>load<u32>(pairs, 32), F3 = fields + <usize>load<u32>(pairs, 44);
    let c0 = zero(), c1 = zero(), c2 = zero(), c3 = zero();
    let out = products;
    for (let k: usize = 0; k < laneBytes; k += 16, out += rowBytes << 2) {
      const e0 = f32x4.mul(v128.load(s0 + k), v128.load(t0 + k)), e1 = f32x4.mul(v128.load(s1 + k), v128.load(t1 + k));
      const e2 = f32x4.mul(v128.load(s2 + k), v128.load(t2 + k)), e3 = f32x4.mul(v128.load(s3 + k), v128.load(t3 + k));
      storeTransposed(out, rowBytes, e0, e1, e2, e3);
      const f0 = f32x4.mul(e0, v128.load(F0 + k)), f1 = f32x4.mul(e1, v128.load(F1 + k));
      const f2 = f32x4.mul(e2, v128.load(F2 + k)), f3 = f32x4.mul(e3, v128.load(F3 + k));
      if (TERMS) {
        let g = G + k;
        v128.store(g, f0);
        v128.store((g += laneBytes), f1);
        v128.store((g += laneBytes), f2);
        v128.store(g + laneBytes, f3);
      } else {
        c0 = f32x4.add(c0, f0);
        c1 = f32x4.add(c1, f1);
        c2 = f32x4.add(c2, f2);
        c3 = f32x4.add(c3, f3);
      }
    }
    if (TERMS) G += laneBytes << 2;
    else v128.store(scores, hsum4(c0, c1, c2, c3));
  }
}

export function productsForward(
  out: usize, scores: usize, d: Desc, fields: usize, slots: usize, G: usize, pairs: usize, Pp: u32,
): void {
  if (G) products(true, out, scores, d, fields, slots, G, pairs, Pp);
  else products(false, out, scores, d, fields, slots, 0, pairs, Pp);
}

/**
 * The input of INN's network, in place of scores: x_p = T_p keepScale (m_p ⊙ e_p ⊙ F_p).   Hong et al. 2019, INN
 *
 * @param x        out  f32[P, Kp]               at each pair's place; the places of absent pairs are left as they are
 * @param slots    in   f32[M + 1, Kp]
 * @param T        in   f32[P]
 */
export function concatForward(
  x: usize, d: Desc, fields: usize, slots: usize, T: usize, mask: usize, pairs: usize, P: u32, keepScale: f32,
): void {
  const laneBytes = <usize>d.Kp << 2, maskBytes = maskRowBytes(d);
  for (let p: u32 = 0; p < P; p++, pairs += PAIR_BYTES, mask += mask ? maskBytes : 0) {
    const s = slots + <usize>load<u32>(pairs), t = slots + <usize>load<u32>(pairs, 4), at = <usize>load<u32>(pairs, 8);
    const scale = f32x4.splat(keepScale * load<f32>(T + (<usize>p << 2)));
    for (let k: usize = 0; k < laneBytes; k += 16) {
      let f = f32x4.mul(f32x4.mul(v128.load(s + k), v128.load(t + k)), v128.load(fields + at + k));
      if (mask) f = v128.and(f, mask4(mask + (k >> 2)));
      v128.store(x + at + k, f32x4.mul(scale, f));
    }
  }
}

/**
 * Gradient of T_p from that of x: keepScale <dx_p, m_p ⊙ e_p ⊙ F_p>.
 *
 * @param dT out    f32[Pp]       [P, Pp) is set to 0
 * @param dx in/out f32[P, Kp]    then m_p ⊙ dx_p
 */
export function concatBackward(
  dT: usize, d: Desc, fields: usize, slots: usize, dx: usize, mask: usize, pairs: usize, P: u32, keepScale: f32,
): void {
  const laneBytes = <usize>d.Kp << 2, maskBytes = maskRowBytes(d);
  for (let p: u32 = 0; p < P; p++, pairs += PAIR_BYTES, mask += mask ? maskBytes : 0) {
    const s = slots + <usize>load<u32>(pairs), t = slots + <usize>load<u32>(pairs, 4), at = <usize>load<u32>(pairs, 8);
    let sum = zero();
    for (let k: usize = 0; k < laneBytes; k += 16) {
      const f = f32x4.mul(f32x4.mul(v128.load(s + k), v128.load(t + k)), v128.load(fields + at + k));
      let x = v128.load(dx + at + k);
      if (mask) {
        x = v128.and(x, mask4(mask + (k >> 2)));
        v128.store(dx + at + k, x);
      }
      sum = madd(x, f, sum);
    }
    store<f32>(dT + (<usize>p << 2), keepScale * hsum(sum));
  }
  for (let p = P; p & 3; p++) store<f32>(dT + (<usize>p << 2), 0);
}

/**
 * e_p = v_s ⊙ v_t for some of the lanes.
 *
 * @param out   out f32[P, lanes]    row stride outBytes
 * @param slots in  f32[M + 1, Kp]   the first of these lanes
 */
export function pairProducts(out: usize, slots: usize, pairs: usize, P: u32, lanes: u32, outBytes: usize): void {
  const bytes = <usize>lanes << 2;
  for (let p: u32 = 0; p < P; p++, pairs += PAIR_BYTES, out += outBytes) {
    const s = slots + <usize>load<u32>(pairs), t = slots + <usize>load<u32>(pairs, 4);
    for (let k: usize = 0; k < bytes; k += 16) v128.store(out + k, f32x4.mul(v128.load(s + k), v128.load(t + k)));
  }
}

/** One vector of one pair of productsBackward. Returns what dv_s gains. */
@inline
function pairBackward(
  CONCAT: bool, vs: v128, c: v128, g: v128, t: usize, tGrad: usize, F: usize, dF: usize, dx: usize,
): v128 {
  const vt = v128.load(t);
  let f = f32x4.mul(c, v128.load(F)), e = f32x4.mul(c, f32x4.mul(vs, vt));
  if (CONCAT) {
    const x = v128.load(dx);
    f = f32x4.mul(f, x);
    e = f32x4.mul(e, x);
  }
  v128.store(dF, f32x4.add(v128.load(dF), e));
  const de = f32x4.add(g, f);
  v128.store(tGrad, madd(de, vs, v128.load(tGrad)));
  return f32x4.mul(de, vt);
}

@inline
function backward(
  BY_LANE: bool, CONCAT: bool, slotGrad: usize, dF: usize, fields: usize, slots: usize, dE: usize, dc: usize, pairs: usize,
  P: u32, lanes: u32, eBytes: usize, dx: usize,
): void {
  const bytes = <usize>lanes << 2, cBytes = (BY_LANE ? <usize>MASKED_LANES : 1) << 2;
  const toGrad = slotGrad - slots, toDF = dF - fields, toDx = dx - fields;
  const end = pairs + <usize>P * PAIR_BYTES;
  while (pairs < end) {
    const first = load<u32>(pairs), s = slots + <usize>first;
    let runEnd = pairs, runE = dE, runC = dc;
    let k: usize = 0;
    for (; k + 64 <= bytes; k += 64) {
      const vs0 = v128.load(s + k), vs1 = v128.load(s + k, 16), vs2 = v128.load(s + k, 32), vs3 = v128.load(s + k, 48);
      const sGrad = s + toGrad + k;
      let g0 = v128.load(sGrad), g1 = v128.load(sGrad, 16), g2 = v128.load(sGrad, 32), g3 = v128.load(sGrad, 48);
      runEnd = pairs;
      runE = dE + k;
      runC = BY_LANE ? dc + k : dc;
      do {
        const t = slots + k + <usize>load<u32>(runEnd, 4), F = fields + k + <usize>load<u32>(runEnd, 8);
        const tGrad = t + toGrad, dFp = F + toDF, x = F + toDx;
        let c = BY_LANE ? v128.load(runC) : v128.load32_splat(runC);
        g0 = f32x4.add(g0, pairBackward(CONCAT, vs0, c, v128.load(runE), t, tGrad, F, dFp, x));
        if (BY_LANE) c = v128.load(runC, 16);
        g1 = f32x4.add(g1, pairBackward(CONCAT, vs1, c, v128.load(runE, 16), t + 16, tGrad + 16, F + 16, dFp + 16, x + 16));
        if (BY_LANE) c = v128.load(runC, 32);
        g2 = f32x4.add(g2, pairBackward(CONCAT, vs2, c, v128.load(runE, 32), t + 32, tGrad + 32, F + 32, dFp + 32, x + 32));
        if (BY_LANE) c = v128.load(runC, 48);
        g3 = f32x4.add(g3, pairBackward(CONCAT, vs3, c, v128.load(runE, 48), t + 48, tGrad + 48, F + 48, dFp + 48, x + 48));
        runEnd += PAIR_BYTES;
        runE += eBytes;
        runC += cBytes;
      } while (runEnd < end && load<u32>(runEnd) == first);
      v128.store(sGrad, g0);
      v128.store(sGrad, g1, 16);
      v128.store(sGrad, g2, 32);
      v128.store(sGrad, g3, 48);
    }
    for (; k < bytes; k += 16) {
      const vs0 = v128.load(s + k);
      const sGrad = s + toGrad + k;
      let g0 = v128.load(sGrad);
      runEnd = pairs;
      runE = dE + k;
      runC = BY_LANE ? dc + k : dc;
      do {
        const c = BY_LANE ? v128.load(runC) : v128.load32_splat(runC);
        const t = slots + k + <usize>load<u32>(runEnd, 4), F = fields + k + <usize>load<u32>(runEnd, 8);
        g0 = f32x4.add(g0, pairBackward(CONCAT, vs0, c, v128.load(runE), t, t + toGrad, F, F + toDF, F + toDx));
        runEnd += PAIR_BYTES;
        runE += eBytes;
        runC += cBytes;
      } while (runEnd < end && load<u32>(runEnd) == first);
      v128.store(sGrad, g0);
    }
    const run = (runEnd - pairs) / PAIR_BYTES;
    pairs = runEnd;
    dE += run * eBytes;
    dc += run * cBytes;
  }
}

/* Three functions: of three branches with the same text the compiler makes one that asks at every vector. */

function backwardByPair(
  slotGrad: usize, dF: usize, fields: usize, slots: usize, dE: usize, dc: usize, pairs: usize, P: u32, lanes: u32, eBytes: usize,
): void {
  backward(false, false, slotGrad, dF, fields, slots, dE, dc, pairs, P, lanes, eBytes, 0);
}

function backwardByLane(
  slotGrad: usize, dF: usize, fields: usize, slots: usize, dE: usize, dc: usize, pairs: usize, P: u32, lanes: u32, eBytes: usize,
): void {
  backward(true, false, slotGrad, dF, fields, slots, dE, dc, pairs, P, lanes, eBytes, 0);
}

function backwardConcat(
  slotGrad: usize, dF: usize, fields: usize, slots: usize, dE: usize, dc: usize, pairs: usize, P: u32, lanes: u32, eBytes: usize,
  dx: usize,
): void {
  backward(false, true, slotGrad, dF, fields, slots, dE, dc, pairs, P, lanes, eBytes, dx);
}

/**
 * Gradients of the slots and of F_p from those of the scores and of the products, for some of the lanes.
 *
 *   de_p += C_p ⊙ F_p,   dv_s += de_p ⊙ v_t,   dv_t += de_p ⊙ v_s,   dF_p += C_p ⊙ e_p
 *
 * C_p is dc_p, or with dropout a vector (masked.ts), or with `dx` (INN) dc_p dx_p. Pairs that follow each other with the
 * same s keep v_s and dv_s in registers. Addresses are those of the first of the lanes.
 *
 * @param slotGrad in/out f32[M + 1, Kp]      accumulated (+=)
 * @param dF       in/out f32[P + 1, Kp]      accumulated (+=)
 * @param slots    in     f32[M + 1, Kp]
 * @param dE       in     f32[P, lanes]       dH[p] Wᵀ, row stride eBytes
 * @param dc       in     f32[P]              dc_p, or where byLane is set f32[P, MASKED_LANES]   C_p
 * @param dx       in     f32[P + 1, Kp]      INN: gradient of the network's input, after dropout. Or 0
 */
export function productsBackward(
  slotGrad: usize, dF: usize, fields: usize, slots: usize, dE: usize, dc: usize, byLane: bool, pairs: usize, P: u32, lanes: u32,
  eBytes: usize, dx: usize,
): void {
  if (dx) return backwardConcat(slotGrad, dF, fields, slots, dE, dc, pairs, P, lanes, eBytes, dx);
  if (byLane) return backwardByLane(slotGrad, dF, fields, slots, dE, dc, pairs, P, lanes, eBytes);
  backwardByPair(slotGrad, dF, fields, slots, dE, dc, pairs, P, lanes, eBytes);
}
