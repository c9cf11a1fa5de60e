import { AFM, Desc, maskRowBytes } from "../abi";
import { firstBytes, keepAbove, keepBegin, keepHigh, keepLow, keepScale, key, MASK_KEYS, nextBytes } from "../random";
import { hsum, zero } from "../simd";
import { STREAM_PRODUCTS } from "./dropout";

/*
 * Dropout of the products of pairs. Each row of a block that shares its pairs (distinct.ts) has masks of its own, so what
 * they act on is summed occurrence by occurrence; backward is linear in
 *
 *   C_p = Σ dc_p m_p    over the rows that have the pair,    de_p += C_p ⊙ F_p,    dF_p += C_p ⊙ e_p
 *
 * An occurrence of a pair is named by the byte offset, in the scratch, of its c_p in d.sScores of its row. Its mask is
 * made once and kept as bits: bit 7 - i of the 16 lanes of a word is that of lanes 16 i … 16 i + 15.
 */

/** Lanes of a word of a mask. */
const WORD_LANES: u32 = 128;

/** Lanes of C_p at a time: its rows are so wide. */
export const MASKED_LANES: u32 = 64;

/** Sixteen lanes of a mask as two vectors of eight. */
@inline
function low8(mask: v128): v128 {
  return i16x8.extend_low_i8x16_s(mask);
}

@inline
function high8(mask: v128): v128 {
  return i16x8.extend_high_i8x16_s(mask);
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

/**
 * Lists the occurrences of each pair of the block, in row order.
 *
 * @param d in  rows' sRowPairs and numbers of pairs; out sFirst u32[pairs], sNext u32[P] of each row: 0 = none; sScores: the
 *              key of the occurrence's mask, 0 in the padding
 * @param b     first row of the block
 */
export function linkPairs(d: Desc, b: u32, rows: u32, scratch: usize, pairs: u32): void {
  const first = scratch + d.sFirst;
  memory.fill(first, 0, <usize>pairs << 2);
  const step = d.model == AFM ? 0 : MASK_KEYS;
  for (let r = rows; r--; ) {
    const row = d.sShared + r * d.sharedRow, P = load<u32>(scratch + row + d.sState, 4);
    const seed = key(d.seed, STREAM_PRODUCTS, d.step, b + r);
    for (let p = (P + 3) & ~3; p--; ) {
      const at = row + d.sScores + (p << 2);
      if (p >= P) {
        store<u32>(scratch + at, 0);
        continue;
      }
      const place = first + (<usize>load<u32>(scratch + row + d.sRowPairs + (<usize>p << 2)) << 2);
      store<u32>(scratch + at, seed + p * step);
      store<u32>(scratch + at + d.sNext - d.sScores, load<u32>(place));
      store<u32>(place, at);
    }
  }
}

/**
 * Scores c_p = keepScale Σ_k m_p[k] G_p[k] of every occurrence of some pairs.
 *
 * @param d     in  sNext; in/out sScores: keys, then c_p
 * @param first in  u32[count] of the pairs
 * @param G     in  f32[count, Kp]  e_p ⊙ F_p
 * @param masks out of their occurrences, pair by pair
 * @returns where those of the pairs behind these begin
 */
export function maskedScores(d: Desc, scratch: usize, first: usize, count: u32, G: usize, masks: usize): usize {
  const high = keepHigh(d.keepProducts), low = keepLow(d.keepProducts);
  const scale = keepScale(d.keepProducts), toNext = d.sNext - d.sScores, laneBytes = <usize>d.Kp << 2;
  for (const end = first + (<usize>count << 2); first < end; first += 4, G += laneBytes) {
    for (let at = load<u32>(first); at; at = load<u32>(scratch + at + toNext)) {
      const h = firstBytes(load<u32>(scratch + at)), above = keepAbove(h, high, low);
      let x = keepBegin(h, high, low), sum = zero();
      for (let g = G, gEnd = G + laneBytes; g < gEnd; masks += 16) {
        let bits = zero(), left: i32 = 8;
        for (const wordEnd = min(gEnd, g + (WORD_LANES << 2)); g < wordEnd; left--, x = nextBytes(x)) {
          let mask = i8x16.gt_s(above, x);
          bits = i8x16.sub(i8x16.add(bits, bits), mask);
          for (const blockEnd = min(wordEnd, g + 64); g < blockEnd; g += 16) {
            sum = f32x4.add(sum, v128.and(v128.load(g), low4(low8(mask))));
            mask = v128.shuffle<i32>(mask, mask, 1, 2, 3, 0);
          }
        }
        v128.store(masks, i8x16.shl(bits, left));
      }
      store<f32>(scratch + at, scale * hsum(sum));
    }
  }
  return masks;
}

/**
 * The same for pairs of one row.
 *
 * @param scores out f32[count]
 * @param mask   in  i16[count, Kp16]; AFM: i16[1, Kp16]
 */
export function maskedRowScores(scores: usize, d: Desc, G: usize, mask: usize, count: u32): void {
  const maskBytes = maskRowBytes(d), laneBytes = <usize>d.Kp << 2, scale = keepScale(d.keepProducts);
  for (const end = scores + (<usize>count << 2); scores < end; scores += 4, G += laneBytes, mask += maskBytes) {
    let sum = zero();
    for (let k: usize = 0; k < laneBytes; k += 16) {
      sum = f32x4.add(sum, v128.and(v128.load(G + k), v128.load16x4_s(mask + (k >> 1))));
    }
    store<f32>(scores, scale * hsum(sum));
  }
}

/**
 * C_p of `count` pairs, for MASKED_LANES lanes.
 *
 * @param C     out f32[count, MASKED_LANES]  lanes beyond Kp are anything
 * @param d     in  sNext; sDropped: dc_p of every occurrence
 * @param first in  u32[count] of the pairs
 * @param masks in  of their occurrences
 * @param k     first of the lanes
 * @returns the masks of the pairs behind these
 */
export function maskedGradients(C: usize, d: Desc, scratch: usize, first: usize, count: u32, masks: usize, k: u32): usize {
  const maskBytes = <usize>((d.Kp + (WORD_LANES - 1)) / WORD_LANES) << 4;
  const toNext = d.sNext - d.sScores, dc = scratch + d.sDropped - d.sScores;
  const word = <usize>(k / WORD_LANES) << 4;
  for (const end = first + (<usize>count << 2); first < end; first += 4) {
    const head = load<u32>(first);
    let next = masks;
    for (let j: u32 = 0; j < MASKED_LANES; j += 32, C += 128) {
      const shift = ((k + j) & (WORD_LANES - 1)) >> 4;
      let c0 = zero(), c1 = zero(), c2 = zero(), c3 = zero(), c4 = zero(), c5 = zero(), c6 = zero(), c7 = zero();
      next = masks;
      for (let at = head; at; at = load<u32>(scratch + at + toNext), next += maskBytes) {
        const g = v128.load32_splat(dc + at);
        let bits = i8x16.shl(v128.load(next + word), shift);
        let mask = i8x16.lt_s(bits, zero()), half = low8(mask);
        c0 = f32x4.add(c0, v128.and(g, low4(half)));
        c1 = f32x4.add(c1, v128.and(g, high4(half)));
        half = high8(mask);
        c2 = f32x4.add(c2, v128.and(g, low4(half)));
        c3 = f32x4.add(c3, v128.and(g, high4(half)));
        bits = i8x16.add(bits, bits);
        mask = i8x16.lt_s(bits, zero());
        half = low8(mask);
        c4 = f32x4.add(c4, v128.and(g, low4(half)));
        c5 = f32x4.add(c5, v128.and(g, high4(half)));
        half = high8(mask);
        c6 = f32x4.add(c6, v128.and(g, low4(half)));
        c7 = f32x4.add(c7, v128.and(g, high4(half)));
      }
      v128.store(C, c0);
      v128.store(C, c1, 16);
      v128.store(C, c2, 32);
      v128.store(C, c3, 48);
      v128.store(C, c4, 64);
      v128.store(C, c5, 80);
      v128.store(C, c6, 96);
      v128.store(C, c7, 112);
    }
    masks = next;
  }
  return masks;
}

/**
 * The same for pairs of one row.
 *
 * @param C    out f32[P, MASKED_LANES]
 * @param dc   in  f32[P]
 * @param mask in  i16[P, Kp16], the first of the lanes; AFM: i16[1, Kp16]
 */
export function maskedRowGradients(C: usize, d: Desc, dc: usize, mask: usize, P: u32, lanes: u32): void {
  const maskBytes = maskRowBytes(d), bytes = <usize>lanes << 2;
  for (const end = dc + (<usize>P << 2); dc < end; dc += 4, C += MASKED_LANES << 2, mask += maskBytes) {
    const g = v128.load32_splat(dc);
    for (let k: usize = 0; k < bytes; k += 16) v128.store(C + k, v128.and(g, v128.load16x4_s(mask + (k >> 1))));
  }
}
