import type { Kernels } from "./load.js";

/** Base64 of some bytes. */
export function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** Blocks of 64 bytes that are hashed in one call, and where they lie behind the state. */
const BLOCKS = 256;
const ROOM = 384;

/** Bytes of linear memory that a digest needs. */
export const SHA256_BYTES = ROOM + 64 * BLOCKS;

/** The first 32 bits behind the point of the square roots of the first eight primes. */
const START = [2, 3, 5, 7, 11, 13, 17, 19].map((prime) => (Math.sqrt(prime) % 1) * 2 ** 32);

/** SHA-256 of bytes in parts, in Base64. `at`: address of SHA256_BYTES bytes. */
export function sha256(kernels: Kernels, memory: WebAssembly.Memory, at: number, parts: Iterable<Uint8Array>): string {
  const state = new Uint32Array(memory.buffer, at, 8);
  const room = new Uint8Array(memory.buffer, at + ROOM, 64 * BLOCKS);
  state.set(START);
  let filled = 0;
  let total = 0;
  for (const part of parts) {
    total += part.length;
    for (let from = 0; from < part.length; ) {
      const taken = Math.min(part.length - from, room.length - filled);
      room.set(part.subarray(from, from + taken), filled);
      from += taken;
      filled += taken;
      if (filled < room.length) break;
      kernels.sha256(at, at + ROOM, BLOCKS);
      filled = 0;
    }
  }
  // 0x80, zeros, and the number of bits at the end of a block.
  const end = 64 * Math.ceil((filled + 9) / 64);
  room.fill(0, filled, end);
  room[filled] = 0x80;
  new DataView(memory.buffer, at + ROOM).setBigUint64(end - 8, 8n * BigInt(total));
  kernels.sha256(at, at + ROOM, end / 64);
  const hash = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => {
    hash.setUint32(4 * i, word);
  });
  return base64(new Uint8Array(hash.buffer));
}
