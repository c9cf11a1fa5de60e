import type { Dropout } from "./types.js";

/**
 * The factor of each of `count` values under inverted dropout: 1/keep if kept, 0 if dropped; 1 without dropout.
 * The same factors multiply the values forward and their gradients backward.
 */
export function dropoutScale(dropout: Dropout | undefined, count: number): number[] {
  if (dropout === undefined) return new Array<number>(count).fill(1);
  if (dropout.mask.length !== count) {
    throw new RangeError(`dropout mask: expected ${count} values, got ${dropout.mask.length}`);
  }
  return dropout.mask.map((kept) => kept / dropout.keep);
}
