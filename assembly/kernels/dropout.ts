import { keepLimit, keepScale, mask8 } from "../random";

/** Threshold that keeps everything: dropout is off. */
export const KEEP_ALL: u32 = 65536;

/** Streams of random numbers, one per place of dropout; src/train/session.ts has those of initialisation and shuffling. */
export const STREAM_WEIGHTS: u32 = 16;
export const STREAM_PRODUCTS: u32 = 17;

/**
 * Dropout mask of `blocks` · 8 lanes, a function of the key alone: backward may read it or make it again.
 *
 * @param out       out i16[8 · blocks]   0xffff keep, 0 drop
 * @param key       of the row and of what is dropped
 * @param threshold keep probability in 1/65536
 */
export function dropoutMask(out: usize, key: u32, blocks: u32, threshold: u32): void {
  const limit = keepLimit(threshold);
  for (let i: u32 = 0; i < blocks; i++, out += 16) v128.store(out, mask8(key, i, limit));
}

/**
 * Inverted dropout: out = kept ? x · keepScale : 0. `out` may be `x`.
 *
 * @param out   out f32[lanes]
 * @param x     in  f32[lanes]
 * @param lanes     a multiple of 4
 */
export function dropout(out: usize, x: usize, lanes: u32, key: u32, threshold: u32): void {
  const limit = keepLimit(threshold);
  const scale = f32x4.splat(keepScale(threshold));
  for (let i: u32 = 0; i < lanes; i += 8, out += 32, x += 32) {
    const mask = mask8(key, i >> 3, limit);
    v128.store(out, v128.and(f32x4.mul(v128.load(x), scale), i32x4.extend_low_i16x8_s(mask)));
    if (i + 4 < lanes) {
      v128.store(out, v128.and(f32x4.mul(v128.load(x, 16), scale), i32x4.extend_high_i16x8_s(mask)), 16);
    }
  }
}
