import { AFM, Desc, maskRowBytes } from "../abi";
import { firstBytes, keepAbove, keepAll, keepBegin, keepHigh, keepLow, keepScale, key, MASK_KEYS, nextBytes } from "../random";
import { hsum, zero } from "../simd";
import { STREAM_PRODUCTS } from "./dropout";

/*
 * Dropout of the products of pairs. Each row of a block that shares its pairs (distinct.ts) has masks of its own, so what
 * they act on is summed occurrence by occurrence; backward is linear in
 *
 *   C_p = Σ dc_p m_p    over the rows that have the pair,    de_p += C_p ⊙ F_p,    dF_p += C_p ⊙ e_p
 *
 * The occurrences are listed by pair, in one list and not one for each pair: most pairs have one or two, and an end that
 * nobody foresees is as dear as 16 lanes. Masks of IFM are made once and kept as bits: bit 7 - i of the 16 bytes of a word
 * is that of lanes 16 i … 16 i + 15. Of AFM each row has one, kept as bytes.
 */

/** Lanes of a word of a mask. */
const WORD_LANES: u32 = 128;

/** Lanes of C_p at a time: its rows are so wide. */
export const MASKED_LANES: u32 = 64;

/**
 * An occurrence: {offset in the scratch of its c_p, the pair's number, AFM: offset in sMasks of its row's mask, -, the first
 * 16 bytes of its key}. The hash stands there because it takes as long as 32 lanes of a sum that waits for it: IFM
 * [8, 64] trains in 1.20 to 1.25 × the time without dropout, and in 1.24 to 1.26 × where each sum begins with its own.
 */
const OCCURRENCE_BYTES: usize = 32;

/** Sixteen lanes of a mask as two vectors of eight. */
@inline
function low8(mask: v128): v128 {
  return v128.shuffle<i8>(mask, mask, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
}

@inline
function high8(mask: v128): v128 {
  return v128.shuffle<i8>(mask, mask, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15);
}

/** Eight lanes of a mask as two vectors of four. */
@inline
function low4(mask: v128): v128 {
  return v128.shuffle<i16>(mask, mask, 0, 0, 1, 1, 2, 2, 3, 3);
}

@inline
function high4(mask: v128): v128 {
  return v128.shuffle<i16>(mask, mask, 4, 4, 5, 5, 6, 6, 7, 7);
}

/** Bytes of the bits of an occurrence's mask. */
@inline
function bitBytes(d: Desc): usize {
  return <usize>((d.Kp + (WORD_LANES - 1)) / WORD_LANES) << 4;
}

/**
 * Lists the occurrences of the block's pairs, by pair and then by row.
 *
 * @param d in  rows' sRowPairs and numbers of pairs; out sFirst u32[pairs + 1] where in the list each pair begins,
 *              sOccurrences, sScores: 0 in the padding
 * @param b     first row of the block
 */
export function linkPairs(d: Desc, b: u32, rows: u32, scratch: usize, pairs: u32): void {
  const first = scratch + d.sFirst, list = scratch + d.sOccurrences;
  const perPair: u32 = d.model == AFM ? 0 : MASK_KEYS;
  memory.fill(first, 0, <usize>(pairs + 1) << 2);
  for (let r: u32 = 0; r < rows; r++) {
    const row = scratch + d.sShared + r * d.sharedRow;
    let at = row + d.sRowPairs;
    for (const end = at + (<usize>load<u32>(row + d.sState, 4) << 2); at < end; at += 4) {
      const place = first + (<usize>load<u32>(at) << 2);
      store<u32>(place, load<u32>(place, 4) + 1, 4);
    }
  }
  let count: u32 = 0;
  for (let p: u32 = 0, place = first + 4; p < pairs; p++, place += 4) {
    const its = load<u32>(place);
    store<u32>(place, count);
    count += its;
  }
  for (let r: u32 = 0; r < rows; r++) {
    const row = d.sShared + r * d.sharedRow, P = load<u32>(scratch + row + d.sState, 4);
    let mask = perPair ? key(d.seed, STREAM_PRODUCTS, d.step, b + r) : r * <u32>maskRowBytes(d);
    const numbers = scratch + row + d.sRowPairs;
    let at = row + d.sScores;
    for (let p: u32 = 0; p < P; p++, at += 4, mask += perPair) {
      const pair = load<u32>(numbers + (<usize>p << 2)), place = first + (<usize>pair << 2);
      const i = load<u32>(place, 4);
      store<u32>(place, i + 1, 4);
      const to = list + <usize>i * OCCURRENCE_BYTES;
      store<u32>(to, at);
      store<u32>(to, pair, 4);
      if (perPair) v128.store(to, firstBytes(mask), 16);
      else store<u32>(to, mask, 8);
    }
    for (let p = P; p & 3; p++, at += 4) store<u32>(scratch + at, 0);
  }
}

/**
 * Σ_k m[k] G[k], in one order for every caller.
 *
 * @param MAKE the mask is made of its key and kept as bits; else it is there
 * @param mask out u8[Kp / 128, 16] bits, or in i8[Kp16]
 */
@inline
function maskedSum(MAKE: bool, G: usize, laneBytes: usize, mask: usize, h: v128, high: v128, low: v128, all: v128): f32 {
  const above = MAKE ? keepAbove(h, high, low) : zero();
  let x = MAKE ? keepBegin(h, low, all) : zero();
  let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  for (const end = G + laneBytes; G < end; ) {
    const wordEnd = MAKE ? min(end, G + (WORD_LANES << 2)) : end;
    let word = zero(), bit = i8x16.splat(-128), m = zero();
    for (; G < wordEnd; G += 64) {
      if (MAKE) {
        m = i8x16.gt_s(above, x);
        x = nextBytes(x);
        word = v128.or(word, v128.and(m, bit));
        bit = i16x8.shr_u(bit, 1);
      } else {
        m = v128.load(mask);
        mask += 16;
      }
      if (G + 48 < wordEnd) {
        const front = low8(m), back = high8(m);
        s0 = f32x4.add(s0, v128.and(v128.load(G), low4(front)));
        s1 = f32x4.add(s1, v128.and(v128.load(G, 16), high4(front)));
        s2 = f32x4.add(s2, v128.and(v128.load(G, 32), low4(back)));
        s3 = f32x4.add(s3, v128.and(v128.load(G, 48), high4(back)));
      } else {
        for (let g = G; g < wordEnd; g += 16) {
          s0 = f32x4.add(s0, v128.and(v128.load(g), low4(low8(m))));
          m = v128.shuffle<i32>(m, m, 1, 2, 3, 0);
        }
      }
    }
    if (MAKE) {
      v128.store(mask, word);
      mask += 16;
    }
  }
  return hsum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}

/*
 * Four functions: of two branches with the same text the compiler makes one that asks again and again. What is the same
 * for all occurrences is in their parameters, because V8 computes a variable where it is used, in the loop.
 */

function scoresOfPairs(
  o: usize, end: usize, scratch: usize, G: usize, laneBytes: usize, bits: usize, bytes: usize, scale: f32, high: v128, low: v128,
  all: v128,
): void {
  for (; o < end; o += OCCURRENCE_BYTES, bits += bytes) {
    const sum = maskedSum(true, G + <usize>load<u32>(o, 4) * laneBytes, laneBytes, bits, v128.load(o, 16), high, low, all);
    store<f32>(scratch + load<u32>(o), scale * sum);
  }
}

function scoresOfRows(
  o: usize, end: usize, scratch: usize, G: usize, laneBytes: usize, masks: usize, scale: f32,
): void {
  for (; o < end; o += OCCURRENCE_BYTES) {
    const g = G + <usize>load<u32>(o, 4) * laneBytes, mask = masks + load<u32>(o, 8);
    store<f32>(scratch + load<u32>(o), scale * maskedSum(false, g, laneBytes, mask, zero(), zero(), zero(), zero()));
  }
}

/** Number of the first of a block's pairs. */
@inline
function pairOf(d: Desc, scratch: usize, first: usize): usize {
  return (first - scratch - d.sFirst) >> 2;
}

/**
 * Scores c_p = keepScale Σ_k m_p[k] G_p[k] of every occurrence of some pairs.
 *
 * @param d     in  sOccurrences; out sScores; sMasks: out, of AFM in
 * @param first in  u32[count + 1] of the pairs, in sFirst
 * @param G     in  f32[count, Kp]  e_p ⊙ F_p
 */
export function maskedScores(d: Desc, scratch: usize, first: usize, count: u32, G: usize): void {
  const from = <usize>load<u32>(first), to = <usize>load<u32>(first + (<usize>count << 2));
  const list = scratch + d.sOccurrences, o = list + from * OCCURRENCE_BYTES, end = list + to * OCCURRENCE_BYTES;
  const laneBytes = <usize>d.Kp << 2, scale = keepScale(d.keepProducts);
  G -= pairOf(d, scratch, first) * laneBytes;
  const masks = scratch + d.sMasks;
  if (d.model == AFM) return scoresOfRows(o, end, scratch, G, laneBytes, masks, scale);
  const high = keepHigh(d.keepProducts), low = keepLow(d.keepProducts), bytes = bitBytes(d);
  scoresOfPairs(o, end, scratch, G, laneBytes, masks + from * bytes, bytes, scale, high, low, keepAll(high));
}

/**
 * The same for pairs of one row.
 *
 * @param scores out f32[count]
 * @param mask   in  i8[count, Kp16]; AFM: i8[1, Kp16]
 */
export function maskedRowScores(scores: usize, d: Desc, G: usize, mask: usize, count: u32): void {
  const laneBytes = <usize>d.Kp << 2, scale = keepScale(d.keepProducts);
  const perPair: usize = d.model == AFM ? 0 : maskRowBytes(d);
  for (const end = scores + (<usize>count << 2); scores < end; scores += 4, G += laneBytes, mask += perPair) {
    store<f32>(scores, scale * maskedSum(false, G, laneBytes, mask, zero(), zero(), zero(), zero()));
  }
}

/** C += m ⊙ g for sixteen lanes. */
@inline
function addMasked(C: usize, m: v128, g: v128): void {
  const l = low8(m), h = high8(m);
  v128.store(C, f32x4.add(v128.load(C), v128.and(g, low4(l))));
  v128.store(C, f32x4.add(v128.load(C, 16), v128.and(g, high4(l))), 16);
  v128.store(C, f32x4.add(v128.load(C, 32), v128.and(g, low4(h))), 32);
  v128.store(C, f32x4.add(v128.load(C, 48), v128.and(g, high4(h))), 48);
}

function gradientsOfPairs(
  o: usize, end: usize, C: usize, laneBytes: usize, dc: usize, bits: usize, bytes: usize, shift: u32,
): void {
  for (; o < end; o += OCCURRENCE_BYTES, bits += bytes) {
    const g = v128.load32_splat(dc + load<u32>(o));
    // What comes into a byte from its neighbour is not among the four bits in front.
    let word = i16x8.shl(v128.load(bits), shift), c = C + <usize>load<u32>(o, 4) * (MASKED_LANES << 2);
    for (const cEnd = c + laneBytes; c < cEnd; c += 64, word = i8x16.add(word, word)) {
      addMasked(c, i8x16.lt_s(word, zero()), g);
    }
  }
}

function gradientsOfRows(o: usize, end: usize, C: usize, laneBytes: usize, dc: usize, masks: usize): void {
  for (; o < end; o += OCCURRENCE_BYTES) {
    const g = v128.load32_splat(dc + load<u32>(o));
    let mask = masks + load<u32>(o, 8), c = C + <usize>load<u32>(o, 4) * (MASKED_LANES << 2);
    for (const cEnd = c + laneBytes; c < cEnd; c += 64, mask += 16) addMasked(c, v128.load(mask), g);
  }
}

/**
 * C_p of `count` pairs, for MASKED_LANES lanes.
 *
 * @param C     out f32[count, MASKED_LANES]  lanes beyond Kp are anything
 * @param d     in  sOccurrences, sMasks; sDropped: dc_p of every occurrence
 * @param first in  u32[count + 1] of the pairs, in sFirst
 * @param k     first of the lanes
 */
export function maskedGradients(C: usize, d: Desc, scratch: usize, first: usize, count: u32, k: u32): void {
  const from = <usize>load<u32>(first), to = <usize>load<u32>(first + (<usize>count << 2));
  const list = scratch + d.sOccurrences, o = list + from * OCCURRENCE_BYTES, end = list + to * OCCURRENCE_BYTES;
  const laneBytes = <usize>min(MASKED_LANES, d.Kp - k) << 2, dc = scratch + d.sDropped - d.sScores, bytes = bitBytes(d);
  const masks = scratch + d.sMasks;
  memory.fill(C, 0, <usize>count * (MASKED_LANES << 2));
  C -= pairOf(d, scratch, first) * (MASKED_LANES << 2);
  if (d.model == AFM) return gradientsOfRows(o, end, C, laneBytes, dc, masks + k);
  const bits = masks + from * bytes + (<usize>(k / WORD_LANES) << 4);
  gradientsOfPairs(o, end, C, laneBytes, dc, bits, bytes, (k & (WORD_LANES - 1)) >> 4);
}

/**
 * The same for pairs of one row.
 *
 * @param C    out f32[P, MASKED_LANES]       lanes beyond `lanes` are anything
 * @param dc   in  f32[P]
 * @param mask in  i8[P, Kp16], the first of the lanes; AFM: i8[1, Kp16]
 */
export function maskedRowGradients(C: usize, d: Desc, dc: usize, mask: usize, P: u32, lanes: u32): void {
  const bytes = <usize>lanes << 2, perPair: usize = d.model == AFM ? 0 : maskRowBytes(d);
  for (const end = dc + (<usize>P << 2); dc < end; dc += 4, C += MASKED_LANES << 2, mask += perPair) {
    const g = v128.load32_splat(dc);
    for (let k: usize = 0; k < bytes; k += 64) {
      const m = v128.load(mask + (k >> 2)), l = low8(m), h = high8(m);
      v128.store(C + k, v128.and(g, low4(l)));
      v128.store(C + k, v128.and(g, high4(l)), 16);
      v128.store(C + k, v128.and(g, low4(h)), 32);
      v128.store(C + k, v128.and(g, high4(h)), 48);
    }
  }
}
