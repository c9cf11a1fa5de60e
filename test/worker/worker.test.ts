import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createTrainer as createPlainTrainer, type Dataset, Model, readLibfm } from "../../src/api.js";
import { serve } from "../../src/worker/host.js";
import {
  createTrainer,
  loadModel,
  type ReadingProgress,
  readRows,
  removeOpfsEntry,
  type WorkerTrainerOptions,
} from "../../src/worker.js";
import { libfmText, plantedRows } from "../support/data.js";
import { MemoryOpfs } from "../support/opfs.js";
import { errorOf } from "../support/train.js";

// Page and worker on two ends of a MessageChannel; in a real worker: test/runtimes/chromium, test/runtimes/firefox.

let worker: MessagePort;
let there: MessagePort;
beforeEach(() => {
  const { port1, port2 } = new MessageChannel();
  [worker, there] = [port1, port2];
  serve(port2);
});
afterEach(() => {
  worker.close();
  there.close();
});

const text = { train: libfmText(plantedRows(400, 1)), validation: libfmText(plantedRows(100, 2)) };
const parse = (content: string) => readLibfm(content, { name: "rows" });
const rows = async () => ({ train: await parse(text.train), validation: await parse(text.validation) });
const shape = { model: { model: "ifm", factors: 4 }, train: { epochs: 3, batchSize: 50 } } as const;

const train = async (options: Partial<WorkerTrainerOptions> = {}) =>
  createTrainer({ ...shape, data: await rows(), threads: 1, worker, ...options });

async function eventsOf<T>(trainer: AsyncIterable<T>): Promise<T[]> {
  const events: T[] = [];
  for await (const event of trainer) events.push(event);
  return events;
}

/** The same run without a worker. */
async function plainRun() {
  const trainer = await createPlainTrainer({ ...shape, data: await rows() });
  return { events: await eventsOf(trainer), model: trainer.model() };
}

const timeless = (events: object[]) =>
  events
    .filter((event) => !("phase" in event))
    .map((event) => ({ ...event, seconds: undefined, rowsPerSecond: undefined }));

const fileOf = (content: string | Uint8Array, name: string) => new File([content as BlobPart], name);
const bytesOf = (content: string) => new TextEncoder().encode(content);

async function* inChunks(content: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < content.length; from += size) yield content.subarray(from, from + size);
}

describe("training", () => {
  test("gives the events and the bits of the plain trainer", async () => {
    const plain = await plainRun();
    using trainer = await train();
    expect(trainer.start).toEqual(plain.events[0]);
    expect(timeless(await eventsOf(trainer))).toEqual(timeless(plain.events));
    using model = await trainer.model();
    expect(model.config).toEqual(plain.model.config);
    expect(model.record).toEqual(plain.model.record);
    expect(await model.toBytes()).toEqual(plain.model.toBytes());
  });

  test("waits behind an epoch until the next event is asked for, and ends when the loop is left", async () => {
    const first = await createPlainTrainer({ ...shape, train: { ...shape.train, epochs: 1 }, data: await rows() });
    await eventsOf(first);
    using trainer = await train({ train: { ...shape.train, epochs: 1000, earlyStop: 0 } });
    for await (const event of trainer) if (event.event === "epoch") break;
    using model = await trainer.model();
    expect(model.record.bestEpoch).toBe(1);
    expect(await model.tensor("feature_embeddings")).toEqual(first.model().tensor("feature_embeddings"));
    expect((await errorOf(eventsOf(trainer))).code).toBe("IFM_USAGE");
  });

  test("tells progress between the events", async () => {
    let now = 0;
    // 200 ms pass between two looks at the clock.
    vi.spyOn(performance, "now").mockImplementation(() => {
      now += 200;
      return now;
    });
    using trainer = await train();
    const events = await eventsOf(trainer);
    vi.restoreAllMocks();
    const progress = events.filter((event) => event.event === "progress");
    expect(progress.length).toBeGreaterThan(3);
    expect(progress[0]).toMatchObject({ phase: "train", epoch: 1, epochs: 3, totalRows: 400 });
    expect(events.at(-1)).toMatchObject({ event: "end", epochs: 3 });
  });

  test("can be stopped by a signal; the best model so far stays", async () => {
    const controller = new AbortController();
    using trainer = await train({
      train: { ...shape.train, epochs: 1_000_000, earlyStop: 0 },
      signal: controller.signal,
    });
    let end: unknown;
    for await (const event of trainer) {
      if (event.event === "epoch" && event.epoch === 2) controller.abort();
      if (event.event === "end") end = event;
    }
    expect(end).toMatchObject({ reason: "aborted" });
    using model = await trainer.model();
    expect(model.record.bestEpoch).toBeGreaterThanOrEqual(2);
  });

  test("can be stopped while rows are read, also when none come", async () => {
    const controller = new AbortController();
    const never = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => undefined) });
    const trainer = train({ data: { train: never }, signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    expect((await errorOf(trainer)).code).toBe("IFM_ABORTED");
    const late = train({ signal: AbortSignal.abort() });
    expect((await errorOf(late)).code).toBe("IFM_ABORTED");
  });

  test("starts from a model file", async () => {
    const { model } = await plainRun();
    using trainer = await train({ init: fileOf(model.toBytes(), "ifm.safetensors") });
    expect(trainer.start.init?.taken).toContain("feature_embeddings");
  });

  test("says when it diverges, and keeps the model before", async () => {
    using trainer = await train({ train: { ...shape.train, optimizer: "sgd", lr: 1e6 } });
    const error = await errorOf(eventsOf(trainer));
    expect(error).toMatchObject({ code: "IFM_DIVERGED", hint: expect.stringContaining("smaller --lr") });
    using model = await trainer.model();
    expect((await model.predict(fileOf(text.validation, "v.libfm"))).every(Number.isFinite)).toBe(true);
  });

  test("goes back when it diverges, if that is wanted", async () => {
    const wild = { ...shape.train, optimizer: "sgd", lr: 100 } as const;
    using trainer = await train({ train: wild, onDivergence: "retry", divergenceRetries: 100 });
    const rollbacks = (await eventsOf(trainer)).filter(({ event }) => event === "rollback");
    expect(rollbacks[0]).toMatchObject({ epoch: 1, to: 0, lr: 50, retry: 1, retries: 100 });
  });

  test("goes on in several trainers of one worker at once", async () => {
    const plain = await plainRun();
    const trainers = await Promise.all([train(), train(), train()]);
    for (const events of await Promise.all(trainers.map(eventsOf))) {
      expect(timeless(events)).toEqual(timeless(plain.events));
    }
    for (const trainer of trainers) trainer.dispose();
  });
});

describe("checkpoints", () => {
  beforeEach(() => void new MemoryOpfs({ move: true, sync: true }).install());
  afterEach(() => vi.unstubAllGlobals());
  const checkpoint = { name: "state", every: { steps: 3 } };

  test("are written in the worker, and gone on from to the same events and bits", async () => {
    const plain = await plainRun();
    using first = await train({ checkpoint, resume: "state" });
    expect(first.start.resumed).toBeUndefined();
    for await (const event of first) if (event.event === "epoch" && event.epoch === 2) break;
    using second = await train({ checkpoint, resume: "state" });
    expect(second.start.resumed).toEqual({ epochs: 1, row: 350, steps: 15 });
    expect(timeless(await eventsOf(second)).slice(1)).toEqual(timeless(plain.events).slice(2));
    using model = await second.model();
    expect(await model.toBytes()).toEqual(plain.model.toBytes());
    // It has ended; there is nothing left to train.
    using third = await train({ resume: "state" });
    expect((await eventsOf(third)).map(({ event }) => event)).toEqual(["start", "end"]);
    await removeOpfsEntry("state");
    using again = await train({ checkpoint, resume: "state" });
    expect(again.start.resumed).toBeUndefined();
  });

  test("are written when a signal ends the training", async () => {
    const controller = new AbortController();
    const long = { ...shape.train, epochs: 1000, earlyStop: 0 };
    using first = await train({ train: long, checkpoint: { name: "state" }, signal: controller.signal });
    for await (const event of first) if (event.event === "epoch" && event.epoch === 2) controller.abort();
    using second = await train({ train: long, resume: "state" });
    expect(second.start.resumed!.epochs).toBeGreaterThanOrEqual(2);
  });

  test("that are not there, or of another training, are refused", async () => {
    expect(await errorOf(train({ resume: "none" }))).toMatchObject({
      code: "IFM_USAGE",
      message: "none: there is no checkpoint in this folder",
      hint: expect.stringContaining("checkpoint: { name }"),
    });
    using first = await train({ checkpoint });
    await eventsOf(first);
    const error = await errorOf(train({ resume: "state", train: { ...shape.train, lr: 0.01 } }));
    expect(error.code).toBe("IFM_MODEL");
    expect(error.message).toMatch(/^state\/checkpoint-.*: checkpoint: of another training: lr was 0\.05, is 0\.01$/);
  });

  test("in a folder that cannot be are refused before training", async () => {
    expect((await errorOf(train({ checkpoint: { name: "../state" } }))).message).toMatch(/^expected a path such as/);
    expect((await errorOf(train({ checkpoint: {} as { name: string } }))).code).toBe("IFM_USAGE");
    const wrong = { ...checkpoint, every: { days: 1 } as object };
    expect((await errorOf(train({ checkpoint: wrong }))).message).toMatch(/^checkpoint\.every: expected/);
    vi.stubGlobal("navigator", {});
    expect((await errorOf(train({ checkpoint }))).message).toMatch(/has no file system of its own$/);
  });
});

describe("rows", () => {
  test.each<[string, (content: Uint8Array) => WorkerTrainerOptions["data"]["train"]]>([
    ["a file", (content) => new File([content as BlobPart], "train.libfm")],
    ["a gzipped blob", (content) => new Blob([gzipSync(content)])],
    ["bytes", (content) => content],
    ["a response", (content) => new Response(content as BodyInit)],
    ["a stream", (content) => new Blob([content as BlobPart]).stream()],
    ["a gzipped stream in small chunks", (content) => inChunks(gzipSync(content), 7)],
    ["an address", (content) => new URL(`data:text/plain;base64,${Buffer.from(content).toString("base64")}`)],
  ])("come from %s", async (_, source) => {
    const plain = await parse(text.train);
    using trainer = await train({ data: { train: source(bytesOf(text.train)) } });
    expect(trainer.start.rows).toEqual({ train: plain.rows });
    using model = await trainer.model();
    expect(model.record).toMatchObject({ rows: plain.rows, labelMin: plain.labelMin, labelMax: plain.labelMax });
    expect((await readRows(source(bytesOf(text.train)) as Blob, { worker })).features).toEqual(plain.features);
  });

  test("are copied, or given away", async () => {
    const kept = await rows();
    using first = await train({ data: kept });
    expect(kept.train.features.length).toBeGreaterThan(0);
    const given = await rows();
    using second = await train({ data: given, transfer: true });
    expect(given.train.features.length).toBe(0);
    expect(given.train.labels.buffer.byteLength).toBe(0);
    expect(timeless(await eventsOf(second))).toEqual(timeless(await eventsOf(first)));
  });

  test("are copied whole and in their place when they are parts of larger buffers, and long", async () => {
    const many = 5_000_000; // of which the arrays take more than one block
    const buffer = new Uint32Array(many + 1);
    for (let i = 0; i < many; i++) buffer[i + 1] = i % 97;
    const long: Dataset = {
      ...(await parse("1 0:1\n")),
      rows: 1,
      rowPtr: Uint32Array.of(0, many),
      features: buffer.subarray(1),
      values: null,
      featureCount: 97,
      minSlots: many,
      maxSlots: many,
    };
    const { model } = await createPlainTrainer({
      model: { model: "fm", factors: 1 },
      data: { train: await parse("1 96:1\n-1 0:1\n") },
    }).then((trainer) => ({ model: trainer.model() }));
    using inWorker = await loadModel(model.toBytes(), { worker, threads: 1 });
    expect(await inWorker.predict(long)).toEqual(model.predict(long));
    expect(long.features.length).toBe(many);
  });

  test("tell how far they have been read", async () => {
    let now = 0;
    vi.spyOn(performance, "now").mockImplementation(() => {
      now += 200;
      return now;
    });
    const told: ReadingProgress[] = [];
    const content = bytesOf(text.train);
    const data = await readRows(new File([content], "train.libfm"), { worker, onReading: (now) => told.push(now) });
    vi.restoreAllMocks();
    expect(data).toMatchObject({ name: "train.libfm", rows: 400 });
    expect(told.at(-1)).toEqual({ name: "train.libfm", bytes: content.length, totalBytes: content.length });
  });

  test("that are wrong are named with file and line", async () => {
    const error = await errorOf(train({ data: { train: fileOf("1 0:1 1:1\n1 0:1 17\n", "rows.libfm") } }));
    expect(error).toMatchObject({ code: "IFM_DATA", file: "rows.libfm", line: 2, column: 7 });
    expect(error.message).toBe('rows.libfm:2:7: expected "id:value", found "17"');
    expect(error.hint).toContain("17:1");
  });

  test("whose stream fails end with its error; what is not there with a name", async () => {
    async function* failing() {
      yield bytesOf("1 0:1\n");
      throw new Error("the line is dead");
    }
    await expect(readRows(failing(), { worker })).rejects.toThrow("the line is dead");
    const missing = new Response("no", { status: 404 });
    expect((await errorOf(readRows(missing, { worker }))).code).toBe("IFM_DATA");
  });

  test("that nobody wants any more are not read on", async () => {
    let ended = false;
    async function* endless() {
      try {
        for (;;) yield bytesOf("1 0:1\n1 0:1 17\n");
      } finally {
        ended = true;
      }
    }
    expect((await errorOf(readRows(endless(), { worker }))).line).toBe(2);
    await vi.waitFor(() => expect(ended).toBe(true));
  });
});

describe("models", () => {
  test("score, evaluate and rank in the worker as in the page", async () => {
    const { model: plain } = await plainRun();
    const data = await parse(text.validation);
    using model = await loadModel(new Blob([plain.toBytes() as BlobPart]), { worker, threads: 1 });
    expect(model.config).toEqual(plain.config);
    expect(model.tensors).toEqual(plain.tensors);
    expect(await model.predict(data, { link: "sigmoid" })).toEqual(plain.predict(data, { link: "sigmoid" }));
    expect(await model.evaluate(fileOf(text.validation, "v.libfm"))).toEqual(plain.evaluate(data));
    expect(await model.unknownFeatures(data)).toBe(plain.unknownFeatures(data));
    expect(await model.tensor("interaction")).toEqual(plain.tensor("interaction"));
    const width = plain.config.fieldOfSlot.length;
    const context = { features: Array.from({ length: width - 1 }, (_, slot) => slot) };
    const candidates = { count: 3, features: [1, 2, 3] };
    expect(await model.rank(context, candidates, { topK: 2 })).toEqual(plain.rank(context, candidates, { topK: 2 }));
    const row = { features: Array.from(data.features.subarray(0, width)) };
    expect(await model.explain(row)).toEqual(plain.explain(row));
    using again = await Model.load(await model.toBytes());
    expect(again.predict(data)).toEqual(plain.predict(data));
  });

  test("stay when the trainer is gone", async () => {
    const trainer = await train();
    await eventsOf(trainer);
    const model = await trainer.model();
    trainer.dispose();
    expect((await errorOf(trainer.model())).message).toBe("trainer: used after dispose()");
    expect(await model.predict(await parse(text.validation))).toHaveLength(100);
    model.dispose();
    expect((await errorOf(model.toBytes())).message).toBe("model: used after dispose()");
  });

  test("that are damaged are refused", async () => {
    const error = await errorOf(loadModel(Uint8Array.of(1, 2, 3), { worker }));
    expect(error.code).toBe("IFM_MODEL");
  });
});

describe("the connection", () => {
  test("says what cannot be sent", async () => {
    const error = await errorOf(train({ onProgress: () => undefined } as object));
    expect(error.code).toBe("IFM_USAGE");
    expect(error.message).toMatch(/^createTrainer: an argument cannot be sent to a worker/);
  });

  test("passes errors of options on", async () => {
    const error = await errorOf(train({ train: { learningRate: 1 } as object }));
    expect(error.code).toBe("IFM_USAGE");
    expect(error.message).toMatch(/^train: unknown option "learningRate"/);
  });

  test("refuses a worker of another version", async () => {
    const { port1, port2 } = new MessageChannel();
    port2.onmessage = ({ data }) => port2.postMessage({ id: data.id, result: "0.0.1" });
    const error = await errorOf(readRows(bytesOf(text.train), { worker: port1 }));
    expect(error).toMatchObject({
      code: "IFM_WASM",
      message: expect.stringMatching(/expected version .*, found 0\.0\.1/),
    });
    port2.close();
  });

  test("says where there are no workers", async () => {
    const error = await errorOf(readRows(bytesOf(text.train)));
    expect(error).toMatchObject({ code: "IFM_USAGE", message: "worker: this runtime has no web workers" });
  });
});

test("the page's side is small and brings no kernels along", async () => {
  const { rolldown } = await import("rolldown");
  const build = await rolldown({ input: "src/worker.ts", platform: "neutral" });
  const { output } = await build.generate({ format: "esm", minify: true });
  await build.close();
  const code = output[0].code;
  expect(gzipSync(code).length).toBeLessThan(5_000);
  expect(code).not.toContain("WebAssembly.Memory");
});
