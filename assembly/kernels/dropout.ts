import { firstBytes, keepAbove, keepAll, keepBegin, keepHigh, keepLow, keepScale, MASK_KEYS, nextBytes } from "../random";

/** Threshold that keeps everything: dropout is off. */
export const KEEP_ALL: u32 = 65536;

/** Streams of random numbers, one per place of dropout; src/train/session.ts has those of initialisation and shuffling. */
export const STREAM_WEIGHTS: u32 = 16;
export const STREAM_PRODUCTS: u32 = 17;

/**
 * Dropout masks, functions of their keys alone.
 *
 * @param out       out i8[count, 16 · blocks]   0xff keep, 0 drop
 * @param key       of the first of them; of the others in steps of MASK_KEYS
 * @param threshold keep probability in 1/65536
 */
export function dropoutMasks(out: usize, key: u32, count: u32, blocks: u32, threshold: u32): void {
  const high = keepHigh(threshold), low = keepLow(threshold), all = keepAll(high);
  for (; count; count--, key += MASK_KEYS) {
    const h = firstBytes(key), above = keepAbove(h, high, low);
    let x = keepBegin(h, low, all);
    for (const end = out + (<usize>blocks << 4); out < end; out += 16, x = nextBytes(x)) {
      v128.store(out, i8x16.gt_s(above, x));
    }
  }
}

/**
 * Inverted dropout: out = kept ? x · keepScale : 0. `out` may be `x`.
 *
 * @param out   out f32[lanes]
 * @param x     in  f32[lanes]
 * @param lanes     a multiple of 4
 */
export function dropout(out: usize, x: usize, lanes: u32, key: u32, threshold: u32): void {
  const high = keepHigh(threshold), low = keepLow(threshold), all = keepAll(high), scale = f32x4.splat(keepScale(threshold));
  const h = firstBytes(key), above = keepAbove(h, high, low);
  let bytes = keepBegin(h, low, all);
  for (const end = x + (<usize>lanes << 2); x < end; bytes = nextBytes(bytes)) {
    // Four lanes after the other: the mask of the next in front.
    let mask = i8x16.gt_s(above, bytes);
    for (const blockEnd = min(end, x + 64); x < blockEnd; x += 16, out += 16) {
      const kept = i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(mask));
      v128.store(out, v128.and(f32x4.mul(v128.load(x), scale), kept));
      mask = v128.shuffle<i32>(mask, mask, 1, 2, 3, 0);
    }
  }
}
