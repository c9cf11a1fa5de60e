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

/** Distance of the keys of masks of the same row. */
export const MASK_KEYS = 4;

/** The words that the masks of a key begin with. */
export const firstWords = (key: number): number[] => [0, 1, 2, 3].map((word) => hash32((key + word) >>> 0));

/** Each lane's number of 16 bits, of lanes 0 … count - 1: kept is what has one below the threshold. */
function numbers(key: number, count: number): number[] {
  const first = firstWords(key);
  const words = first.slice();
  return Array.from({ length: count }, (_, lane) => {
    const word = (lane >> 2) & 3;
    if ((lane & 3) === 0) {
      const x = words[word]! ^ (words[word]! << 9);
      words[word] = x ^ (x >>> 11);
    }
    const high = (words[word]! >> (8 * (lane & 3))) & 255;
    // Both bytes are signed.
    return ((high ^ 128) << 8) | ((first[word]! >>> 24) ^ 128);
  });
}

/** 0 or 1 for lanes 0 … count - 1. */
export function dropoutMask(key: number, count: number, threshold: number): number[] {
  return numbers(key, count).map((number) => Number(number < threshold));
}
