import { beforeEach, describe, expect, test, vi } from "vitest";
import { checkBatch, SHAPES } from "../support/batch.js";
import { BUILDS, fillWithNaN, nanWordAt } from "../support/memory.js";
import type { TestSession } from "../support/session.js";
import { FACTORS } from "../support/sweep.js";

/*
 * Whole batches in a memory where everything between the buffers of a Session is NaN, and so is what nobody has written
 * yet: scratch, sums, gradients, occurrences. A buffer that is too small, a read beside one and a read of what an
 * earlier batch left behind all show.
 */

interface Take {
  address: number;
  bytes: number;
}

/** The arenas of the Session in hand: of the memory, of the scratch of a row, and of what a block of rows shares. */
const { arenas } = vi.hoisted(() => ({ arenas: [] as { takes: Take[]; bytes: number }[] }));

vi.mock("../../src/wasm/arena.js", async (importOriginal) => {
  const original = await importOriginal<typeof import("../../src/wasm/arena.js")>();
  const { fillWithNaN } = await import("../support/memory.js");
  class GuardedArena extends original.Arena {
    readonly takes: Take[] = [];

    constructor(start?: number) {
      super(start);
      arenas.push(this);
    }

    /** The buffer, and 64 bytes before it that are nobody's. */
    override take(bytes: number): number {
      super.take(64);
      const address = super.take(bytes);
      this.takes.push({ address, bytes });
      return address;
    }

    override memory(what: string, shared?: boolean): WebAssembly.Memory {
      super.take(64);
      const memory = super.memory(what, shared);
      const words = new Uint32Array(memory.buffer);
      fillWithNaN(memory.buffer, 0, memory.buffer.byteLength);
      for (const { address, bytes } of this.takes) words.fill(0, address / 4, Math.ceil((address + bytes) / 4));
      return memory;
    }
  }
  return { ...original, Arena: GuardedArena };
});

beforeEach(() => {
  arenas.length = 0;
});

/** Buffers that every batch writes before it reads them. */
const WRITTEN_FIRST = [
  "yHat",
  "rowSum",
  "rowDz",
  "slotGrad",
  "chunkLoss",
  "chunkGrad",
  "occStart",
  "occIndex",
  "occValue",
  "grad",
  "fieldPairs",
] as const;

/** Buffers of the memory, and the gaps between those of the scratch. */
function placesOf({ desc }: TestSession): { takes: Take[]; scratch: Take; gaps: Take[] } {
  const [main, row, block] = arenas.slice(-3) as [
    { takes: Take[] },
    { takes: Take[] },
    { takes: Take[]; bytes: number },
  ];
  // It lies before the room for rows that are scored, 4 · 4096 bytes of labels first.
  const scratch = main.takes.find(({ bytes }, i) => bytes === block.bytes && main.takes[i + 1]?.bytes === 16384)!;
  const rows = Array.from({ length: desc.get("blockRows") }, (_, r) => r * desc.get("scratchRow"));
  const parts = [
    ...rows.flatMap((start) => row.takes.map(({ address, bytes }) => ({ address: start + address, bytes }))),
    ...block.takes,
  ].map(({ address, bytes }) => ({ address: scratch.address + address, bytes }));
  const gaps = parts.slice(1).map(({ address }, i) => {
    const end = parts[i]!.address + parts[i]!.bytes;
    return { address: end, bytes: address - end };
  });
  return { takes: main.takes, scratch, gaps };
}

function before(test: TestSession): void {
  const { session, desc } = test;
  const { takes, scratch } = placesOf(test);
  const dirty = [scratch, ...WRITTEN_FIRST.map((field) => takes.find(({ address }) => address === desc.get(field)))];
  for (const take of dirty) if (take) fillWithNaN(session.memory.buffer, take.address, take.address + take.bytes);
}

function after(test: TestSession, what: string): void {
  const { session, desc } = test;
  const { takes, gaps } = placesOf(test);
  const words = new Uint32Array(session.memory.buffer);
  const expectNaN = (from: number, to: number, where: string) => {
    for (let word = Math.ceil(from / 4); word < Math.floor(to / 4); word++) {
      if (words[word] === nanWordAt(4 * word)) continue;
      const found = words[word]!.toString(16).padStart(8, "0");
      throw new Error(`${what}: wrote 0x${found} ${where}, at byte ${4 * word - from} of ${to - from}`);
    }
  };
  const field = (address: number) => WRITTEN_FIRST.find((name) => desc.get(name) === address) ?? `buffer at ${address}`;
  takes.forEach(({ address, bytes }, i) => {
    const next = takes[i + 1]?.address ?? session.memory.buffer.byteLength;
    expectNaN(address + bytes, next, `behind ${field(address)}`);
  });
  gaps.forEach(({ address, bytes }, i) => {
    expectNaN(address, address + bytes, `behind part ${i} of the scratch`);
  });
  expect(session.parameters().every(Number.isFinite), what).toBe(true);
}

describe.each(BUILDS)("$build", ({ module }) => {
  for (const { name, shapes } of SHAPES) {
    test.each(FACTORS)(`${name}, K = %i`, (K) => {
      shapes.forEach((shape, seed) => {
        if (shape.K === K && seed % 2 === 0) checkBatch(module, shape, seed, { before, after });
      });
    });
  }
});
