import { Desc } from "../abi";
import { hsum, madd, zero } from "../simd";
import { PAIR_BYTES } from "./field";

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
    if (values) {
      const x = v128.load32_splat(values + i);
      for (let k: usize = 0; k < laneBytes; k += 16) v128.store(slots + k, f32x4.mul(x, v128.load(v + k)));
    } else {
      for (let k: usize = 0; k < laneBytes; k += 16) v128.store(slots + k, v128.load(v + k));
    }
  }
  memory.fill(slots, 0, laneBytes);
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

/** Widens four of the eight lanes of a dropout mask. */
@inline
function mask4(mask: usize): v128 {
  return v128.load16x4_s(mask);
}

/**
 * e_p = v_s ⊙ v_t and c_p = <e_p, m_p ⊙ F_p> for the pairs of one row.   Hong et al. 2019, eq. of the field aspect
 *
 * @param products out  f32[Pp, productFloats]   e_p
 * @param scores   out  f32[Pp]                  keepScale c_p
 * @param fields   in   f32[fieldRows + 1, Kp] F_p, the last row zero
 * @param slots    in   f32[M + 1, Kp]
 * @param mask     in   i16[Pp, Kp8] dropout mask, or 0
 * @param pairs    in   {s, t, p}[Pp]
 */
@inline
function products(
  DROPOUT: bool, products: usize, scores: usize, d: Desc, fields: usize, slots: usize, mask: usize, pairs: usize, Pp: u32,
  keepScale: f32,
): void {
  const laneBytes = <usize>d.Kp << 2, maskBytes = ((laneBytes + 31) & ~31) >> 1;
  const productBytes = <usize>d.productFloats << 2;
  assert((Pp & 3) == 0 && ((products | slots | fields) & 15) == 0);
  const end = pairs + <usize>Pp * PAIR_BYTES;
  for (; pairs < end; pairs += PAIR_BYTES, products += productBytes, scores += 4) {
    const s = slots + <usize>load<u32>(pairs), t = slots + <usize>load<u32>(pairs, 4);
    const F = fields + <usize>load<u32>(pairs, 8);
    // Two sums: one would wait for its own last addition.
    let c0 = zero(), c1 = zero();
    let k: usize = 0;
    for (; k + 32 <= laneBytes; k += 32) {
      const e0 = f32x4.mul(v128.load(s + k), v128.load(t + k));
      const e1 = f32x4.mul(v128.load(s + k, 16), v128.load(t + k, 16));
      v128.store(products + k, e0);
      v128.store(products + k, e1, 16);
      let f0 = f32x4.mul(e0, v128.load(F + k)), f1 = f32x4.mul(e1, v128.load(F + k, 16));
      if (DROPOUT) {
        f0 = v128.and(f0, mask4(mask + (k >> 1)));
        f1 = v128.and(f1, mask4(mask + (k >> 1) + 8));
      }
      c0 = f32x4.add(c0, f0);
      c1 = f32x4.add(c1, f1);
    }
    if (k < laneBytes) {
      const e0 = f32x4.mul(v128.load(s + k), v128.load(t + k));
      v128.store(products + k, e0);
      let f0 = f32x4.mul(e0, v128.load(F + k));
      if (DROPOUT) f0 = v128.and(f0, mask4(mask + (k >> 1)));
      c0 = f32x4.add(c0, f0);
    }
    const c = hsum(f32x4.add(c0, c1));
    store<f32>(scores, DROPOUT ? keepScale * c : c);
    if (DROPOUT) mask += maskBytes;
  }
}

export function productsForward(
  out: usize, scores: usize, d: Desc, fields: usize, slots: usize, mask: usize, pairs: usize, Pp: u32, keepScale: f32,
): void {
  if (mask) products(true, out, scores, d, fields, slots, mask, pairs, Pp, keepScale);
  else products(false, out, scores, d, fields, slots, 0, pairs, Pp, 1);
}

/**
 * The input of INN's network, in place of scores: x_p = T_p keepScale (m_p ⊙ e_p ⊙ F_p).   Hong et al. 2019, INN
 *
 * @param x        out  f32[P, Kp]               at each pair's place; the places of absent pairs are left as they are
 * @param products in   f32[Pp, productFloats]   e_p
 * @param T        in   f32[P]
 */
export function concatForward(
  x: usize, d: Desc, fields: usize, products: usize, T: usize, mask: usize, pairs: usize, P: u32, keepScale: f32,
): void {
  const laneBytes = <usize>d.Kp << 2, maskBytes = ((laneBytes + 31) & ~31) >> 1;
  const productBytes = <usize>d.productFloats << 2;
  for (let p: u32 = 0; p < P; p++, pairs += PAIR_BYTES, products += productBytes, mask += mask ? maskBytes : 0) {
    const at = <usize>load<u32>(pairs, 8);
    const scale = f32x4.splat(keepScale * load<f32>(T + (<usize>p << 2)));
    for (let k: usize = 0; k < laneBytes; k += 16) {
      let f = f32x4.mul(v128.load(products + k), v128.load(fields + at + k));
      if (mask) f = v128.and(f, mask4(mask + (k >> 1)));
      v128.store(x + at + k, f32x4.mul(scale, f));
    }
  }
}

/**
 * Gradient of T_p from that of x: keepScale <dx_p, m_p ⊙ e_p ⊙ F_p>.
 *
 * @param dT out f32[Pp]       [P, Pp) is set to 0
 * @param dx in  f32[P, Kp]
 */
export function concatBackward(
  dT: usize, d: Desc, fields: usize, products: usize, dx: usize, mask: usize, pairs: usize, P: u32, keepScale: f32,
): void {
  const laneBytes = <usize>d.Kp << 2, maskBytes = ((laneBytes + 31) & ~31) >> 1;
  const productBytes = <usize>d.productFloats << 2;
  for (let p: u32 = 0; p < P; p++, pairs += PAIR_BYTES, products += productBytes, mask += mask ? maskBytes : 0) {
    const at = <usize>load<u32>(pairs, 8);
    let sum = zero();
    for (let k: usize = 0; k < laneBytes; k += 16) {
      let f = f32x4.mul(v128.load(products + k), v128.load(fields + at + k));
      if (mask) f = v128.and(f, mask4(mask + (k >> 1)));
      sum = madd(v128.load(dx + at + k), f, sum);
    }
    store<f32>(dT + (<usize>p << 2), keepScale * hsum(sum));
  }
  for (let p = P; p & 3; p++) store<f32>(dT + (<usize>p << 2), 0);
}

/** One vector of one pair of productsBackward; `g` is Σ_a dH[p,a] Wᵀ[a] on entry. */
@inline
function pairBackward(
  DROPOUT: bool, CONCAT: bool, g: v128, c: v128, s: usize, t: usize, F: usize, dF: usize, toGrad: usize, mask: usize, dx: usize,
): void {
  const vs = v128.load(s), vt = v128.load(t);
  let f = v128.load(F), e = f32x4.mul(vs, vt);
  if (CONCAT) {
    const x = v128.load(dx);
    f = f32x4.mul(f, x);
    e = f32x4.mul(e, x);
  }
  if (DROPOUT) {
    const m = mask4(mask);
    f = v128.and(f, m);
    e = v128.and(e, m);
  }
  v128.store(dF, madd(c, e, v128.load(dF)));
  const de = madd(c, f, g);
  v128.store(s + toGrad, madd(de, vt, v128.load(s + toGrad)));
  v128.store(t + toGrad, madd(de, vs, v128.load(t + toGrad)));
}

/**
 * Gradients of the slots and of F_p from those of the scores and of the attention's projection.
 *
 *   de_p = dH[p] Wᵀ + dc_p (m_p ⊙ F_p),   dv_s += de_p ⊙ v_t,   dv_t += de_p ⊙ v_s,   dF_p += dc_p (m_p ⊙ e_p)
 *
 * Four pairs at a time share the loads of Wᵀ; e_p and de_p never leave the registers.
 *
 * @param slotGrad in/out f32[M + 1, Kp]      accumulated (+=)
 * @param dF       in/out f32[P + 1, Kp]      accumulated (+=)
 * @param slots    in     f32[M + 1, Kp]
 * @param dH       in     f32[Pp, Ap]         gradient of e_p W
 * @param dc       in     f32[Pp]             gradient of <e_p, m_p ⊙ F_p>
 * @param mask     in     i16[Pp, Kp8], or 0
 * @param dx       in     f32[P + 1, Kp] INN: gradient of the network's input; m_p ⊙ F_p and m_p ⊙ e_p are weighted by dx_p. Or 0
 */
@inline
function backward(
  DROPOUT: bool, CONCAT: bool, slotGrad: usize, dF: usize, d: Desc, fields: usize, slots: usize, dH: usize, dc: usize, mask: usize,
  pairs: usize, Pp: u32, dx: usize,
): void {
  const laneBytes = <usize>d.Kp << 2, aBytes = <usize>d.Ap << 2;
  const maskBytes = DROPOUT ? ((laneBytes + 31) & ~31) >> 1 : 0;
  const toGrad = slotGrad - slots;
  const WT = d.attnWT;
  for (let p: u32 = 0; p < Pp; p += 4, pairs += 4 * PAIR_BYTES, dH += aBytes << 2, dc += 16, mask += maskBytes << 2) {
    const s0 = slots + <usize>load<u32>(pairs), t0 = slots + <usize>load<u32>(pairs, 4);
    const s1 = slots + <usize>load<u32>(pairs, 12), t1 = slots + <usize>load<u32>(pairs, 16);
    const s2 = slots + <usize>load<u32>(pairs, 24), t2 = slots + <usize>load<u32>(pairs, 28);
    const s3 = slots + <usize>load<u32>(pairs, 36), t3 = slots + <usize>load<u32>(pairs, 40);
    const p0 = <usize>load<u32>(pairs, 8), p1 = <usize>load<u32>(pairs, 20);
    const p2 = <usize>load<u32>(pairs, 32), p3 = <usize>load<u32>(pairs, 44);
    const m1 = mask + maskBytes, m2 = m1 + maskBytes, m3 = m2 + maskBytes;
    let k: usize = 0;
    for (; k + 32 <= laneBytes; k += 32) {
      let g00 = zero(), g01 = zero(), g10 = zero(), g11 = zero();
      let g20 = zero(), g21 = zero(), g30 = zero(), g31 = zero();
      let W = WT + k;
      let h0 = dH, h1 = h0 + aBytes, h2 = h1 + aBytes, h3 = h2 + aBytes;
      for (const end = h1; h0 < end; h0 += 8, h1 += 8, h2 += 8, h3 += 8) {
        let w0 = v128.load(W), w1 = v128.load(W, 16);
        let x = v128.load32_splat(h0);
        g00 = madd(x, w0, g00);
        g01 = madd(x, w1, g01);
        x = v128.load32_splat(h1);
        g10 = madd(x, w0, g10);
        g11 = madd(x, w1, g11);
        x = v128.load32_splat(h2);
        g20 = madd(x, w0, g20);
        g21 = madd(x, w1, g21);
        x = v128.load32_splat(h3);
        g30 = madd(x, w0, g30);
        g31 = madd(x, w1, g31);
        W += laneBytes;
        w0 = v128.load(W);
        w1 = v128.load(W, 16);
        x = v128.load32_splat(h0, 4);
        g00 = madd(x, w0, g00);
        g01 = madd(x, w1, g01);
        x = v128.load32_splat(h1, 4);
        g10 = madd(x, w0, g10);
        g11 = madd(x, w1, g11);
        x = v128.load32_splat(h2, 4);
        g20 = madd(x, w0, g20);
        g21 = madd(x, w1, g21);
        x = v128.load32_splat(h3, 4);
        g30 = madd(x, w0, g30);
        g31 = madd(x, w1, g31);
        W += laneBytes;
      }
      const half = k >> 1;
      let c = v128.load32_splat(dc);
      pairBackward(DROPOUT, CONCAT, g00, c, s0 + k, t0 + k, fields + p0 + k, dF + p0 + k, toGrad, mask + half, dx + p0 + k);
      pairBackward(DROPOUT, CONCAT, g01, c, s0 + k + 16, t0 + k + 16, fields + p0 + k + 16, dF + p0 + k + 16, toGrad, mask + half + 8, dx + p0 + k + 16);
      c = v128.load32_splat(dc, 4);
      pairBackward(DROPOUT, CONCAT, g10, c, s1 + k, t1 + k, fields + p1 + k, dF + p1 + k, toGrad, m1 + half, dx + p1 + k);
      pairBackward(DROPOUT, CONCAT, g11, c, s1 + k + 16, t1 + k + 16, fields + p1 + k + 16, dF + p1 + k + 16, toGrad, m1 + half + 8, dx + p1 + k + 16);
      c = v128.load32_splat(dc, 8);
      pairBackward(DROPOUT, CONCAT, g20, c, s2 + k, t2 + k, fields + p2 + k, dF + p2 + k, toGrad, m2 + half, dx + p2 + k);
      pairBackward(DROPOUT, CONCAT, g21, c, s2 + k + 16, t2 + k + 16, fields + p2 + k + 16, dF + p2 + k + 16, toGrad, m2 + half + 8, dx + p2 + k + 16);
      c = v128.load32_splat(dc, 12);
      pairBackward(DROPOUT, CONCAT, g30, c, s3 + k, t3 + k, fields + p3 + k, dF + p3 + k, toGrad, m3 + half, dx + p3 + k);
      pairBackward(DROPOUT, CONCAT, g31, c, s3 + k + 16, t3 + k + 16, fields + p3 + k + 16, dF + p3 + k + 16, toGrad, m3 + half + 8, dx + p3 + k + 16);
    }
    if (k < laneBytes) {
      let g0 = zero(), g1 = zero(), g2 = zero(), g3 = zero();
      let W = WT + k;
      let h0 = dH, h1 = h0 + aBytes, h2 = h1 + aBytes, h3 = h2 + aBytes;
      for (const end = h1; h0 < end; h0 += 4, h1 += 4, h2 += 4, h3 += 4, W += laneBytes) {
        const w = v128.load(W);
        g0 = madd(v128.load32_splat(h0), w, g0);
        g1 = madd(v128.load32_splat(h1), w, g1);
        g2 = madd(v128.load32_splat(h2), w, g2);
        g3 = madd(v128.load32_splat(h3), w, g3);
      }
      const half = k >> 1;
      pairBackward(DROPOUT, CONCAT, g0, v128.load32_splat(dc), s0 + k, t0 + k, fields + p0 + k, dF + p0 + k, toGrad, mask + half, dx + p0 + k);
      pairBackward(DROPOUT, CONCAT, g1, v128.load32_splat(dc, 4), s1 + k, t1 + k, fields + p1 + k, dF + p1 + k, toGrad, m1 + half, dx + p1 + k);
      pairBackward(DROPOUT, CONCAT, g2, v128.load32_splat(dc, 8), s2 + k, t2 + k, fields + p2 + k, dF + p2 + k, toGrad, m2 + half, dx + p2 + k);
      pairBackward(DROPOUT, CONCAT, g3, v128.load32_splat(dc, 12), s3 + k, t3 + k, fields + p3 + k, dF + p3 + k, toGrad, m3 + half, dx + p3 + k);
    }
  }
}

export function productsBackward(
  slotGrad: usize, dF: usize, d: Desc, fields: usize, slots: usize, dH: usize, dc: usize, mask: usize, pairs: usize, Pp: u32,
  dx: usize,
): void {
  if (dx) {
    if (mask) backward(true, true, slotGrad, dF, d, fields, slots, dH, dc, mask, pairs, Pp, dx);
    else backward(false, true, slotGrad, dF, d, fields, slots, dH, dc, 0, pairs, Pp, dx);
  } else if (mask) {
    backward(true, false, slotGrad, dF, d, fields, slots, dH, dc, mask, pairs, Pp, 0);
  } else {
    backward(false, false, slotGrad, dF, d, fields, slots, dH, dc, 0, pairs, Pp, 0);
  }
}
