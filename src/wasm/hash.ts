import { base64 } from "../model/integrity.js";
import type { Kernels } from "./load.js";

/** Blocks of 64 bytes that are hashed in one call, and where they lie behind the state. */
const BLOCKS = 256;
const ROOM = 128;

/** Bytes of linear memory that a digest needs. */
export const SHA256_BYTES = ROOM + 64 * BLOCKS;

/** The square roots of the first eight primes, behind the point. */
const START = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

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
