/*
 * xxHash32 of Yann Collet, specified at https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, for bytes that come
 * in parts. In plain JavaScript it is several times as fast as a table-driven CRC-32, and every runtime has it.
 */

const PRIME1 = 0x9e3779b1;
const PRIME2 = 0x85ebca77;
const PRIME3 = 0xc2b2ae3d;

/** Parts are multiples of it. */
export const HASH_STRIPE = 16;

/** A running xxHash32 over parts of whole stripes of 16 bytes. */
export class XxHash32 {
  readonly #lanes: Int32Array;
  #bytes = 0;

  constructor(seed = 0) {
    this.#lanes = Int32Array.of(seed + PRIME1 + PRIME2, seed + PRIME2, seed, seed - PRIME1);
  }

  /** @param words little-endian; as many as are left of 4 */
  update(words: Uint32Array): this {
    let [a, b, c, d] = this.#lanes as unknown as [number, number, number, number];
    for (let i = 0; i < words.length; i += 4) {
      a = (a + Math.imul(words[i]!, PRIME2)) | 0;
      b = (b + Math.imul(words[i + 1]!, PRIME2)) | 0;
      c = (c + Math.imul(words[i + 2]!, PRIME2)) | 0;
      d = (d + Math.imul(words[i + 3]!, PRIME2)) | 0;
      a = Math.imul((a << 13) | (a >>> 19), PRIME1);
      b = Math.imul((b << 13) | (b >>> 19), PRIME1);
      c = Math.imul((c << 13) | (c >>> 19), PRIME1);
      d = Math.imul((d << 13) | (d >>> 19), PRIME1);
    }
    this.#lanes.set([a, b, c, d]);
    this.#bytes += 4 * words.length;
    return this;
  }

  /** The hash of everything so far, which is at least one stripe. */
  digest(): number {
    const [a, b, c, d] = this.#lanes as unknown as [number, number, number, number];
    let hash = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18) + this.#bytes) | 0;
    hash = Math.imul(hash ^ (hash >>> 15), PRIME2);
    hash = Math.imul(hash ^ (hash >>> 13), PRIME3);
    return (hash ^ (hash >>> 16)) >>> 0;
  }
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
