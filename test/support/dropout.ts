/*
 * The random functions of assembly/random.ts once more, lane by lane, so that masks can be told to the twins.
 * test/kernels/dropout.test.ts compares them with the kernels' own.
 */

/** Streams of assembly/kernels/dropout.ts and sampling.ts. */
export const STREAM_WEIGHTS = 16;
export const STREAM_PRODUCTS = 17;
export const STREAM_SAMPLING = 18;

/** The 32-bit mixer with the constants 16 21f0aaad 15 735a2d97 15. */
export function hash32(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return (h ^ (h >>> 15)) >>> 0;
}

export function randomKey(seed: number, stream: number, step: number, row: number): number {
  return [seed, stream, step, row].reduce((h, word) => hash32(((h ^ word) + 0x9e3779b9) >>> 0), 0);
}

/** Threshold in 1/65536 of a keep probability. */
export function keepThreshold(keep: number): number {
  const x = Math.fround(keep) * 65536;
  const floor = Math.floor(x);
  // To the nearest, ties to even.
  const rounded = x - floor === 0.5 ? floor + (floor & 1) : Math.round(x);
  return Math.max(1, Math.min(65536, rounded));
}

/** Whether number `lane` of the row with this key is kept: 16 random bits, read as a signed number, below a limit. */
export function isKept(key: number, lane: number, threshold: number): boolean {
  const word = hash32((key + (lane >> 1)) >>> 0);
  const half = (lane & 1 ? word >> 16 : (word << 16) >> 16) | 0;
  return half <= threshold - 32769;
}

/** 0 or 1 for lanes 0 … count - 1. */
export function dropoutMask(key: number, count: number, threshold: number): number[] {
  return Array.from({ length: count }, (_, lane) => Number(isKept(key, lane, threshold)));
}
