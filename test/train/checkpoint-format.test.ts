import { beforeAll, describe, expect, test } from "vitest";
import { type Checkpoint, createTrainer, type TrainerOptions } from "../../src/api.js";
import { type CheckpointFile, checkCheckpoint } from "../../src/checkpoint.js";
import { encodeCheckpoint, type Header, openCheckpoint } from "../../src/train/checkpoint-format.js";
import { XxHash32 } from "../../src/train/xxhash.js";
import { assertSameBits } from "../support/compare.js";
import { parse, plantedRows } from "../support/data.js";
import { Random } from "../support/random.js";
import { errorOf } from "../support/train.js";

const data = { train: await parse(plantedRows(60, 1)), validation: await parse(plantedRows(20, 2)) };
const options: TrainerOptions = {
  model: { model: "fm", factors: 3 },
  train: { epochs: 3, batchSize: 20, optimizer: "adam" },
  data,
  onDivergence: "retry",
};

/** A header as JSON has it, to be broken. */
interface Json {
  [key: string]: Json;
}

/** Sets a value of a header by its path. */
function set(json: Json, path: string, value: unknown): void {
  const keys = path.split(".");
  const last = keys.pop()!;
  Object.assign(
    keys.reduce((at, key) => at[key]!, json),
    { [last]: value },
  );
}

/** In the middle of the second epoch, with everything that there can be. */
let bytes: Uint8Array;
let header: Header;

beforeAll(async () => {
  const write = (checkpoint: Checkpoint) => {
    if (checkpoint.steps === 5) bytes = checkpoint.toBytes();
  };
  const trainer = await createTrainer({ ...options, checkpoint: { every: { steps: 1 }, write } });
  for await (const _ of trainer);
  ({ header } = await openCheckpoint(bytes));
});

describe("xxHash32", () => {
  // Of the published program: printf '0123456789abcdef' | xxhsum -H32
  test.each([
    ["0123456789abcdef", 0, "c2c45b69"],
    ["0123456789abcdef0123456789abcdef", 0, "eb888d30"],
  ])("%s", (text, seed, hash) => {
    const words = new Uint32Array(new TextEncoder().encode(text).buffer);
    expect(new XxHash32(seed).update(words).digest().toString(16)).toBe(hash);
  });

  test("has the seed 0 when none is given", () => {
    const words = Uint32Array.of(1, 2, 3, 4);
    expect(new XxHash32().update(words).digest()).toBe(new XxHash32(0).update(words).digest());
  });

  test("in parts is that of the whole", () => {
    const words = Uint32Array.from({ length: 64 }, (_, i) => i * 0x9e3779b1);
    const whole = new XxHash32(7).update(words).digest();
    const hash = new XxHash32(7);
    for (const [from, to] of [
      [0, 4],
      [4, 32],
      [32, 32],
      [32, 64],
    ])
      hash.update(words.subarray(from, to));
    expect(hash.digest()).toBe(whole);
    expect(new XxHash32(8).update(words).digest()).not.toBe(whole);
  });
});

describe("a checkpoint", () => {
  test("holds the arrays that docs/FORMATS.md names", () => {
    const live = ["weights", "state1", "state2", "sums", "positives", "negatives"];
    const names = header.arrays.map(({ name }) => name);
    expect(names.toSorted()).toEqual([...live, "best", ...live.map((name) => `good.${name}`)].toSorted());
  });

  test("says where it was taken", async () => {
    const { run } = header;
    expect(await checkCheckpoint(bytes)).toEqual({ run, epochs: 1, row: 40, steps: 5, retries: 0 });
  });

  test("is the same bytes, in parts that are their own, whatever reads it", async () => {
    const { arrays, ...rest } = header;
    const values = Object.fromEntries(
      arrays.map(({ name, type, length }) => [
        name,
        type === "f64" ? new Float64Array(length) : new Float32Array(length),
      ]),
    );
    await (await openCheckpoint(bytes)).read((name) => values[name]);
    const { parts, bytes: size } = encodeCheckpoint(rest, values);
    const list = [...parts()];
    expect(size).toBe(bytes.length);
    expect(Buffer.compare(Buffer.concat(list), bytes)).toBe(0);
    expect(new Set(list.map(({ buffer }) => buffer)).size).toBe(list.length);
  });

  test("is read in blocks, and no byte of it twice", async () => {
    const large = new Float32Array(700_000).fill(0.5);
    const { arrays: _arrays, ...rest } = header;
    const encoded = encodeCheckpoint(rest, { weights: large });
    const content = Buffer.concat([...encoded.parts()]);
    const reads: [number, number][] = [];
    const file: CheckpointFile = {
      bytes: content.length,
      read(at, target) {
        reads.push([at, target.length]);
        target.set(content.subarray(at, at + target.length));
      },
    };
    const target = new Float32Array(700_000);
    await (await openCheckpoint(file)).read(() => target);
    assertSameBits("weights", target, large);
    expect(Math.max(...reads.map(([, length]) => length))).toBe(2 ** 20);
    expect(reads.reduce((sum, [, length]) => sum + length, 0)).toBe(content.length);
  });
});

describe("what is refused", () => {
  const refusal = async (damaged: Uint8Array) => {
    const error = await errorOf(createTrainer({ ...options, resume: damaged }));
    expect(error.code).toBe("IFM_MODEL");
    expect(error.message).toMatch(/^checkpoint: /);
    return error.message;
  };

  test("a file that ends early, at any place", async () => {
    for (let length = 0; length < bytes.length; length += 211) {
      expect(await refusal(bytes.subarray(0, length))).toMatch(/expected at least 48 bytes|was not written to its end/);
    }
    expect(await refusal(Buffer.concat([bytes, Buffer.alloc(16)]))).toContain("was not written to its end");
  });

  test("a file that is something else", async () => {
    expect(await refusal(new Uint8Array(1000))).toContain('does not begin with "ifm-ckpt"');
    const next = bytes.slice();
    next[8] = 2;
    expect(await refusal(next)).toBe("checkpoint: expected format version 1, found 2");
  });

  test("in the name of its file, when it has one", async () => {
    const next = bytes.slice();
    next[8] = 2;
    const file = (content: Uint8Array, name?: string): CheckpointFile => ({
      bytes: content.length,
      read: (at, target) => target.set(content.subarray(at, at + target.length)),
      ...(name !== undefined && { name }),
    });
    const named = await errorOf(checkCheckpoint(file(next, "a.ifmckpt")));
    expect(named).toMatchObject({ file: "a.ifmckpt", hint: "another ifm-wasm may read it" });
    expect(named.message).toBe("a.ifmckpt: checkpoint: expected format version 1, found 2");
    const short = await errorOf(checkCheckpoint(file(bytes.subarray(0, 47))));
    expect([short.file, short.hint, short.message]).toEqual([
      undefined,
      undefined,
      "checkpoint: expected at least 48 bytes, found 47",
    ]);
  });

  test("any bit that has changed", async () => {
    const random = new Random(5);
    // The front whole, of the rest some; the last 12 bytes are padding.
    const places = Array.from({ length: 160 }, (_, i) => (i < 80 ? random.int(1200) : random.int(bytes.length - 12)));
    for (const place of places) {
      const damaged = bytes.slice();
      damaged[place]! ^= 1 << random.int(8);
      await refusal(damaged);
    }
  });

  /** The checkpoint with another header, its checksums right. */
  function withHeader(change: (json: Json) => void): Uint8Array {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const length = view.getUint32(12, true);
    const json = JSON.parse(new TextDecoder().decode(bytes.subarray(32, 32 + length)));
    change(json);
    const text = new TextEncoder().encode(JSON.stringify(json));
    const front = new Uint8Array(32 + Math.ceil(text.length / 16) * 16).fill(0x20, 32);
    front.set(bytes.subarray(0, 24));
    front.set(text, 32);
    const out = Buffer.concat([front, bytes.subarray(32 + length)]);
    const words = (part: Uint8Array) => new Uint32Array(Uint8Array.from(part).buffer);
    const outView = new DataView(out.buffer, out.byteOffset);
    outView.setUint32(12, front.length - 32, true);
    outView.setBigUint64(16, BigInt(out.length), true);
    outView.setUint32(24, new XxHash32().update(words(out.subarray(0, front.length))).digest(), true);
    const end = out.length - 16;
    outView.setUint32(end, new XxHash32().update(words(out.subarray(0, end))).digest(), true);
    return Uint8Array.from(out);
  }

  test("nothing, when only the order of the header's keys is another", async () => {
    const trainer = await createTrainer({ ...options, resume: withHeader((json) => json) });
    expect(trainer.start.resumed).toEqual({ epochs: 1, row: 40, steps: 5 });
  });

  test.each<[string, string, unknown]>([
    ["a place between batches that is none", "position.row", 30],
    ["rows that there are not", "position.row", 80],
    ["steps that do not fit", "position.steps", 6],
    ["epochs that are no number", "position.epochs", "1"],
    ["a negative row", "position.row", -20],
    ["a power that is none", "position.beta1", 2],
    ["a loss that is not finite", "position.loss", "NaN"],
    ["a best epoch to come", "stopping.bestEpoch", 2],
    ["a kept epoch to come", "kept.event.epoch", 7],
    ["no kept epoch", "kept.event", undefined],
    ["metrics that are no numbers", "kept.event.train.rmse", "good"],
    ["a longer array than the file", "arrays.0.length", 2 ** 50],
    ["a negative length", "arrays.0.length", -4],
    ["an array of another type", "arrays.0.type", "u8"],
    ["an array twice", "arrays.1.name", "weights"],
    ["an array that is missing", "arrays.0.name", "nothing"],
    ["too many arrays", "arrays", Array(200).fill({ name: "x", type: "f32", length: 0 })],
    ["no position", "position", undefined],
    ["no identity", "identity", null],
    ["another run's options", "identity.options.lr", 7],
    ["options that are none", "identity.options", [1]],
    ["data that is none", "identity.data", { train: null }],
    ["many retries", "retries", 5000],
    ["a state to go back to whose best weights are not there", "good.steps", 2],
    ["a state to go back to whose best weights are of later", "good.steps", 4],
  ])("%s", async (_name, path, value) => {
    await refusal(withHeader((json) => set(json, path, value)));
  });

  test("arrays of other lengths that are as long together", async () => {
    const { length } = header.arrays[0]!;
    const change = (json: Json) => {
      set(json, "arrays.0.length", length - 4);
      set(json, "arrays.1.length", length + 4);
    };
    expect(await refusal(withHeader(change))).toContain("numbers of weights");
  });

  test("scores of other rows", async () => {
    const index = header.arrays.findIndex(({ name }) => name === "positives");
    const { length } = header.arrays[index]!;
    // One score more: its place in the file was padding.
    expect(length % 4).not.toBe(0);
    expect(await refusal(withHeader((json) => set(json, `arrays.${index}.length`, length + 1)))).toContain(
      "its scores",
    );
  });

  test.each(["sums", "weights"])("a state to go back to with another number of %s", async (name) => {
    const index = header.arrays.findIndex((array) => array.name === `good.${name}`);
    const { length, type } = header.arrays[index]!;
    const bytesOf = (count: number) => Math.ceil(((type === "f64" ? 8 : 4) * count) / 16);
    const other = bytesOf(length + 1) === bytesOf(length) ? length + 1 : length - 1;
    expect(bytesOf(other)).toBe(bytesOf(length)); // the file stays as long
    expect(await refusal(withHeader((json) => set(json, `arrays.${index}.length`, other)))).toContain(
      "does not fit together",
    );
  });

  test("a state to go back to within an epoch, without the scores of its rows", async () => {
    const change = (json: Json) => {
      set(json, "good.position.row", 20);
      set(json, "good.position.steps", header.good!.position.steps + 1);
      set(json, "good.steps", header.good!.position.steps + 1);
    };
    expect(await refusal(withHeader(change))).toContain("does not fit together");
  });

  test("names that are those of every object: they are no options, and nothing is polluted", async () => {
    const damaged = withHeader((json) => {
      const options = JSON.stringify(json.identity!.options).slice(1);
      const text = `{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}, ${options}`;
      set(json, "identity.options", JSON.parse(text));
      set(json, "arrays.0.name", "__proto__");
    });
    await refusal(damaged);
    expect("polluted" in {}).toBe(false);
  });

  test("a message has little of what a file says", async () => {
    const odd = `\u001b[2J${"x".repeat(100_000)}`;
    for (const path of [
      "identity.version",
      "identity.options.lr",
      `identity.options.${odd}`,
      "identity.data.train.hash",
    ]) {
      const message = await refusal(withHeader((json) => set(json, path, odd)));
      expect(message.length).toBeLessThan(400);
      expect(message).not.toContain("\u001b");
    }
  });

  test("a header that says it is larger than it may be reserves nothing", async () => {
    const front = Uint8Array.from(bytes.subarray(0, 32));
    const view = new DataView(front.buffer);
    view.setUint32(12, 2 ** 31, true);
    view.setBigUint64(16, 2n ** 33n, true);
    const asked: number[] = [];
    const file: CheckpointFile = {
      bytes: 2 ** 33,
      read(at, target) {
        asked.push(target.length);
        target.set(front.subarray(at, at + target.length));
      },
    };
    const error = await errorOf(checkCheckpoint(file));
    expect(error.message).toBe("checkpoint: damaged: a header of 2147483648 bytes");
    expect(asked).toEqual([32]);
  });
});
