import { DESC_BYTES, Desc, FIELDS } from "../../src/wasm/abi.js";
import { instantiateTestKernels, type TestKernels } from "./kernels.js";
import { fillWithNaN, NAN_WORD, nanWordAt } from "./memory.js";

export type Data = Float32Array | Float64Array | Uint32Array | Uint8Array;

/** `in`: must not change. `out`: full of NaN before the call. `inout`, `scratch`: has values before the call and may change. */
export type Role = "in" | "out" | "inout" | "scratch";

export interface Buffer {
  role: Role;
  data: Data;
}

export const input = <D extends Data>(data: D) => ({ role: "in", data }) as const;
export const inOut = <D extends Data>(data: D) => ({ role: "inout", data }) as const;
export const scratch = <D extends Data>(data: D) => ({ role: "scratch", data }) as const;
export const output = (floats: number) => ({ role: "out", data: new Float32Array(floats) }) as const;
export const outputU32 = (words: number) => ({ role: "out", data: new Uint32Array(words) }) as const;
export const outputU8 = (bytes: number) => ({ role: "out", data: new Uint8Array(bytes) }) as const;

export type DescFields = Parameters<Desc["set"]>[0];

/** Bytes of NaN before and behind every buffer. */
const BORDER = 64;

interface Placed {
  name: string;
  role: Role;
  address: number;
  bytes: number;
  /** Bits before the call. */
  before: Uint8Array;
}

/**
 * A linear memory in which everything is NaN but the buffers placed in it. A kernel that reads beside a buffer gets a
 * NaN into its results; one that writes beside a buffer is found by `check`. Buffers are 16-aligned and no better, so a
 * kernel that needs more fails, too.
 */
export class GuardedMemory {
  readonly kernels: TestKernels;
  readonly memory: WebAssembly.Memory;
  readonly #words: Uint32Array;
  /** The module's own constants. */
  readonly #constants: Uint8Array;
  readonly #base: number;
  #end: number;
  #placed: Placed[] = [];

  constructor() {
    const { kernels, memory } = instantiateTestKernels();
    this.kernels = kernels;
    this.memory = memory;
    this.#base = Math.ceil(kernels.heapBase() / 16) * 16;
    this.#constants = new Uint8Array(memory.buffer, 0, this.#base).slice();
    this.#words = new Uint32Array(memory.buffer);
    this.#end = this.#base;
    fillWithNaN(memory.buffer, this.#base, memory.buffer.byteLength);
  }

  /** Takes everything away; all memory is NaN again. */
  clear(): void {
    fillWithNaN(this.memory.buffer, this.#base, this.#end + BORDER);
    this.#end = this.#base;
    this.#placed = [];
  }

  /** Places a buffer behind a border and returns its address. */
  place(name: string, { role, data }: Buffer): number {
    const address = Math.ceil((this.#end + BORDER) / 16) * 16;
    const bytes = data.byteLength;
    if (bytes % 4 !== 0) throw new Error(`${name}: ${bytes} bytes are no whole words`);
    this.#end = address + bytes;
    if (this.#end + BORDER > this.memory.buffer.byteLength) throw new Error(`${name}: the test memory is too small`);
    const target = new Uint8Array(this.memory.buffer, address, bytes);
    if (role !== "out") target.set(new Uint8Array(data.buffer, data.byteOffset, bytes));
    this.#placed.push({ name, role, address, bytes, before: target.slice() });
    return address;
  }

  /** Places a Desc. Fields that are not given are NaN as numbers and lie beyond the memory as addresses. */
  placeDesc(fields: DescFields): number {
    const address = this.place("desc", { role: "in", data: new Uint32Array(DESC_BYTES / 4).fill(NAN_WORD) });
    new Desc(this.memory, address).set(fields);
    const placed = this.#placed.at(-1)!;
    placed.before = this.#bytes(placed).slice();
    return address;
  }

  #bytes({ address, bytes }: Placed): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, bytes);
  }

  /**
   * After a call: inputs have their bits, borders are NaN.
   *
   * @param written fields of the Desc that the kernel writes
   * @throws Error naming the buffer and the place
   */
  check(what: string, written: (keyof DescFields)[] = []): void {
    for (const placed of this.#placed) {
      if (placed.role !== "in") continue;
      const now = this.#bytes(placed);
      const mayChange = (byte: number) => placed.name === "desc" && written.includes(FIELDS[byte >> 2]!);
      const at = now.findIndex((byte, i) => byte !== placed.before[i] && !mayChange(i));
      if (at >= 0) throw new Error(`${what}: wrote into its input ${placed.name}, byte ${at} of ${placed.bytes}`);
    }
    let from = this.#base;
    for (const { name, address, bytes } of this.#placed) {
      this.#expectNaN(what, from, address, `before ${name}`);
      from = address + bytes;
    }
    this.#expectNaN(what, from, this.#end + BORDER, "behind the last buffer");
  }

  /** Looks at all of memory; `check` only at the part in use. */
  checkAll(what: string): void {
    const constants = new Uint8Array(this.memory.buffer, 0, this.#base);
    const at = constants.findIndex((byte, i) => byte !== this.#constants[i]);
    if (at >= 0) throw new Error(`${what}: wrote into the module's constants at ${at}`);
    this.#expectNaN(what, this.#end, this.memory.buffer.byteLength, "far behind the last buffer");
  }

  #expectNaN(what: string, from: number, to: number, where: string): void {
    for (let word = from >> 2; word < to >> 2; word++) {
      if (this.#words[word] === nanWordAt(4 * word)) continue;
      const found = this.#words[word]!.toString(16).padStart(8, "0");
      throw new Error(`${what}: wrote 0x${found} ${where}, at byte ${4 * word - from} of ${to - from}`);
    }
  }
}
