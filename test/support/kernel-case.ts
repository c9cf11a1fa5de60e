import { describe, test } from "vitest";
import { assertClose, type Expected } from "./compare.js";
import { type Buffer, type Data, type DescFields, GuardedMemory } from "./guards.js";
import type { TestKernels } from "./kernels.js";
import { nanWordAt } from "./memory.js";
import { Random } from "./random.js";
import { describeShape } from "./sweep.js";

type Buffers = Record<string, Buffer>;
type Addresses<B extends Buffers> = { [Name in keyof B]: number } & { desc: number };
type Values<B extends Buffers> = { [Name in keyof B]: B[Name]["data"] };

/** One kernel, declared once. */
export interface Declaration<S extends object, B extends Buffers> {
  kernel: string;
  /** Largest error, relative to the scales that the twin gives. */
  tolerance: number;
  shapes: readonly S[];
  /** What lies in memory before the call; distinct values. */
  buffers(shape: S, random: Random): B;
  /** Fields of the Desc that the kernel reads. All others are NaN. */
  desc?(shape: S, at: Addresses<B>): DescFields;
  /** Fields of the Desc that the kernel, or `call`, writes. */
  descWrites?: (keyof DescFields)[];
  /** The call; what it returns is compared when the twin says what it must be. */
  call(run: { kernels: TestKernels; at: Addresses<B>; shape: S; memory: WebAssembly.Memory }): unknown;
  /**
   * The same in f64, from the values before the call: every `out` and `inout` buffer by its name, and `returns` if the
   * kernel returns something.
   */
  twin(values: Values<B>, shape: S): Record<string, Expected>;
}

/** A declaration whose types are done with. */
export interface KernelCase {
  kernel: string;
  shapes: readonly object[];
  /** Runs shape number `index` in a memory full of NaN and compares with the twin. */
  check(memory: GuardedMemory, index: number): void;
}

export function kernelCase<S extends object, B extends Buffers>(declared: Declaration<S, B>): KernelCase {
  const { kernel, tolerance, shapes, descWrites } = declared;
  const check = (memory: GuardedMemory, index: number) => {
    const shape = shapes[index]!;
    const what = `${kernel} ${describeShape(shape)}`;
    const buffers = declared.buffers(shape, new Random(index + 1));
    memory.clear();
    const entries = Object.entries<Buffer>(buffers);
    const at = Object.fromEntries(entries.map(([name, buffer]) => [name, memory.place(name, buffer)])) as Addresses<B>;
    if (declared.desc) Object.assign(at, { desc: memory.placeDesc(declared.desc(shape, at)) });

    const returned = declared.call({ kernels: memory.kernels, at, shape, memory: memory.memory });
    memory.check(what, descWrites);
    const values = Object.fromEntries(entries.map(([name, { data }]) => [name, data.slice()])) as Values<B>;
    const expected = declared.twin(values, shape);
    for (const [name, buffer] of entries) {
      if (buffer.role !== "out" && buffer.role !== "inout") continue;
      const wanted = expected[name];
      if (!wanted) throw new Error(`${kernel}: the twin says nothing of ${name}`);
      const now = viewOf(memory.memory, at[name]!, buffer.data);
      assertUntouched(`${what}: ${name}`, now, buffer, wanted);
      assertClose(`${what}: ${name}`, now, wanted, tolerance);
    }
    if (expected.returns) assertClose(`${what}: returned`, [Number(returned)], expected.returns, tolerance);
  };
  return { kernel, shapes, check };
}

/** The bytes at `address` as the kind of array that `like` is. */
function viewOf({ buffer }: WebAssembly.Memory, address: number, like: Data): Data {
  if (like instanceof Float32Array) return new Float32Array(buffer, address, like.length);
  if (like instanceof Float64Array) return new Float64Array(buffer, address, like.length);
  if (like instanceof Uint32Array) return new Uint32Array(buffer, address, like.length);
  return new Uint8Array(buffer, address, like.length);
}

/** Where the twin says UNTOUCHED, the bits are those from before the call. */
function assertUntouched(what: string, now: Data, { role, data }: Buffer, { values }: Expected): void {
  if (!Array.from(values).some(Number.isNaN)) return;
  const nowBits = new Uint32Array(now.buffer, now.byteOffset, now.byteLength / 4);
  const beforeBits = new Uint32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  const words = data.BYTES_PER_ELEMENT / 4;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isNaN(values[i])) continue;
    for (let word = Math.floor(i * words); word < (i + 1) * words; word++) {
      const before = role === "out" ? nanWordAt(now.byteOffset + 4 * word) : beforeBits[word];
      if (nowBits[word] !== before) throw new Error(`${what}: [${i}] was written and must not be`);
    }
  }
}

/** Tests a kernel over all of its shapes, one test for each value of their first axis. */
export function testKernel({ kernel, shapes, check }: KernelCase): void {
  const groups = new Map<string, number[]>();
  shapes.forEach((shape, index) => {
    const [axis, value] = Object.entries(shape)[0]!;
    const name = `${axis} = ${value}`;
    groups.set(name, [...(groups.get(name) ?? []), index]);
  });
  describe(kernel, () => {
    const memory = new GuardedMemory();
    test.each([...groups])("%s", (name, indices) => {
      for (const index of indices) check(memory, index);
      memory.checkAll(`${kernel} ${name}`);
    });
  });
}
