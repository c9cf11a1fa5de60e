import { describe, expect, it, vi } from "vitest";
import { LibfmParser } from "../../src/data/libfm.js";
import { movableBuffer, moveInto } from "../../src/data/movable.js";
import { createTrainer } from "../../src/train/trainer.js";
import type { TrainEvent } from "../../src/train/types.js";
import { rowsText } from "../cli/support.js";

describe("moveInto", () => {
  it.each([0, 1, 1000, 2 ** 20, 2 ** 20 + 1, 3_000_000])("moves %i numbers and empties their buffer", (length) => {
    const source = new Uint32Array(movableBuffer(4 * length), 0, length);
    for (let i = 0; i < length; i++) source[i] = i * 7;
    const expected = source.slice();
    const target = new Uint32Array(length + 2).fill(9);
    moveInto(target.subarray(1, length + 1), source);
    expect(Buffer.from(target.buffer, 4, 4 * length).equals(Buffer.from(expected.buffer))).toBe(true);
    expect([target[0], target[length + 1]]).toEqual([9, 9]);
    expect(source.buffer.byteLength).toBe(0);
  });

  it("gives memory back while it copies, 4 MiB at a time", () => {
    const length = 3_000_000;
    const source = new Uint32Array(movableBuffer(4 * length), 0, length);
    const resize = vi.spyOn(ArrayBuffer.prototype as unknown as { resize(bytes: number): void }, "resize");
    moveInto(new Uint32Array(length), source);
    const sizes = resize.mock.calls.map(([bytes]) => bytes);
    resize.mockRestore();
    expect(sizes).toEqual([4 * length - 2 ** 22, 4 * length - 2 ** 23, 0]);
  });

  it("copies from an ordinary buffer, which stays", () => {
    const source = Float32Array.of(1, 2, 3);
    const target = new Float32Array(3);
    moveInto(target, source);
    expect([...target, ...source]).toEqual([1, 2, 3, 1, 2, 3]);
  });
});

describe("many rows", () => {
  // More than what is read before parts are copied, so that arrays are used again.
  const LINES = 60_000;
  const SLOTS = 100;
  /** Values only in some of the parts. */
  const valueAt = (line: number) => (line > 30_000 && line % 5 === 0 ? 0.5 : 1);

  it.each([false, true])("are read as few are (movable: %s)", (movable) => {
    const parser = new LibfmParser({ movable });
    const encoder = new TextEncoder();
    for (let first = 0; first < LINES; first += 500) {
      let text = "";
      for (let line = first; line < first + 500; line++) {
        text += `${line}`;
        for (let slot = 0; slot < SLOTS; slot++) text += ` ${(line + slot) % 1000}:${slot === 7 ? valueAt(line) : 1}`;
        text += "\n";
      }
      parser.push(encoder.encode(text));
    }
    const { rows, labels, rowPtr, features, values } = parser.end();
    expect([rows, features.length]).toEqual([LINES, LINES * SLOTS]);
    let wrong = 0;
    for (let line = 0; line < LINES; line++) {
      if (labels[line] !== line || rowPtr[line + 1] !== (line + 1) * SLOTS) wrong++;
      for (let slot = 0, i = line * SLOTS; slot < SLOTS; slot++, i++) {
        if (features[i] !== (line + slot) % 1000 || values?.[i] !== (slot === 7 ? valueAt(line) : 1)) wrong++;
      }
    }
    expect(wrong).toBe(0);
  });
});

describe("a trainer that owns its rows", () => {
  const text = rowsText(500).replaceAll(/:1\b/g, (_, at: number) => (at % 3 === 0 ? ":0.5" : ":1"));
  const read = (rows: string, movable: boolean) => {
    const parser = new LibfmParser({ movable });
    parser.push(new TextEncoder().encode(rows));
    return parser.end();
  };

  async function events(ownsRows: boolean, model: "fm" | "ifm", rows = text): Promise<TrainEvent[]> {
    const train = read(rows, ownsRows);
    using trainer = await createTrainer({
      model: { model, factors: 4, features: 18 },
      train: { epochs: 2, batchSize: 64, earlyStop: 0 },
      data: { train, validation: read(rows, ownsRows) },
      evaluateTrain: true,
      ownsRows,
    });
    const found: TrainEvent[] = [];
    for await (const event of trainer) found.push(event);
    // Twice over the same rows, as the command line does with its sample.
    using again = await createTrainer({ model: { model, factors: 4, features: 18 }, data: { train }, ownsRows });
    found.push(again.start);
    return JSON.parse(JSON.stringify(found, (key, value) => (/seconds/i.test(key) ? 0 : value))) as TrainEvent[];
  }

  it.each(["fm", "ifm"] as const)("trains %s as any other, with unknown features and values", async (model) => {
    const strip = (list: TrainEvent[]) => list.map((event) => ({ ...event, rowsPerSecond: 0 }));
    expect(strip(await events(true, model))).toEqual(strip(await events(false, model)));
    const ones = rowsText(300);
    expect(strip(await events(true, model, ones))).toEqual(strip(await events(false, model, ones)));
  });

  it("has one copy of them, in its memory", async () => {
    const train = read(text, true);
    const { buffer } = train.features;
    using trainer = await createTrainer({ model: { model: "fm" }, data: { train }, ownsRows: true });
    expect(buffer.byteLength).toBe(0);
    expect(train.features.buffer.byteLength).toBe(trainer.start.memoryBytes);
    expect(train.features.length).toBe(2000);
    expect(train.lineOf?.(3)).toBe(4);
  });
});
