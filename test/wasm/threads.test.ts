import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Worker } from "node:worker_threads";
import { describe, expect, test, vi } from "vitest";
import { createTrainer, Model, type TrainerOptions } from "../../src/api.js";
import { startThread } from "../../src/runtime-node.js";
import { parse, plantedRows } from "../support/data.js";
import { configOf, rowsOf } from "../support/session.js";
import { digest } from "../support/train.js";

// Real threads over a shared memory. test/models/parts.test.ts has every order of the jobs; here is what the machine does.

const real = configOf({ model: "ifm", features: 300 }, 6);
const data = { train: await parse(rowsOf(real, 700, 3)), validation: await parse(rowsOf(real, 150, 4)) };

const shape = { factors: 7, attentionFactors: 5, fieldFactors: 3, hidden: [6, 3] };
const runs: { name: string; options: Omit<TrainerOptions, "data"> }[] = [
  { name: "fm", options: { model: { ...shape, model: "fm" }, train: { keep: [1, 0.8] } } },
  { name: "fm, batch norm", options: { model: { ...shape, model: "fm", batchNorm: true } } },
  { name: "fm, bpr", options: { model: { ...shape, model: "fm", loss: "bpr" }, train: { bpr: { groupBy: [0] } } } },
  { name: "afm, clipped", options: { model: { ...shape, model: "afm" }, train: { clipNorm: 0.5 } } },
  {
    name: "ifm, exact adam, clipped, dropout",
    options: {
      model: { ...shape, model: "ifm" },
      train: { optimizer: "adam", lr: 0.01, adam: { exact: true }, clipNorm: 1, keep: [0.9, 0.8] },
    },
  },
  { name: "inn", options: { model: { ...shape, model: "inn" }, train: { optimizer: "momentum", lr: 0.001 } } },
  {
    name: "deepifm, sampling",
    options: { model: { ...shape, model: "deepifm", loss: "logistic" }, train: { samplePairs: 0.5, sampleAfter: 3 } },
  },
];

const { workers, fate } = vi.hoisted(() => ({ workers: [] as Worker[], fate: { endsAtOnce: false } }));

// Every Worker that is made, so that tests can count and end them, also before they are ready.
vi.mock(import("node:worker_threads"), async (original) => {
  const module = await original();
  class SeenWorker extends module.Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      workers.push(this);
      this.once("exit", () => workers.splice(workers.indexOf(this), 1));
      if (fate.endsAtOnce) void this.terminate();
    }
  }
  return { ...module, Worker: SeenWorker };
});

/** A module with nothing in it. */
const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

async function endWorkers(): Promise<void> {
  await Promise.all(workers.slice().map((worker) => worker.terminate()));
}

/** Everything that a run says but its times, the bits of its model and of what that predicts. */
async function outcome({ model, train }: Omit<TrainerOptions, "data">, threads: number) {
  const warnings: string[] = [];
  using trainer = await createTrainer({
    ...(model ? { model } : {}),
    train: { epochs: 3, batchSize: 300, earlyStop: 0, ...train },
    data,
    threads,
    onWarning: (text) => warnings.push(text),
  });
  expect(trainer.threads).toBe(threads);
  const events: unknown[] = [];
  for await (const event of trainer) {
    if (event.event === "epoch") events.push({ ...event, seconds: 0, rowsPerSecond: 0 });
  }
  using trained = trainer.model();
  using loaded = await Model.load(trained.toBytes(), { threads });
  const scores = [...loaded.predict(data.train)];
  const metrics = loaded.evaluate(data.validation);
  expect(warnings).toEqual([]);
  return { events, digest: digest(trained), scores, metrics };
}

test.each(runs)("$name: 2, 3 and 5 threads compute the bits of one", async ({ options }) => {
  const one = await outcome(options, 1);
  for (const threads of [2, 3, 5]) expect(await outcome(options, threads)).toEqual(one);
});

describe("threads", () => {
  const options = { model: { ...shape, model: "ifm" as const }, train: { epochs: 4, batchSize: 100 } };

  test("that are ended from outside are missed once, and the bits stay", async () => {
    const warnings: string[] = [];
    using trainer = await createTrainer({ ...options, data, threads: 3, onWarning: (text) => warnings.push(text) });
    let epochs = 0;
    for await (const event of trainer) {
      if (event.event !== "epoch" || ++epochs !== 2) continue;
      await endWorkers();
      expect(trainer.threads).toBe(1);
    }
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^a thread is not there: .*; training goes on with fewer$/);
    using plain = await createTrainer({ ...options, data });
    for await (const _ of plain);
    expect(digest(trainer.model())).toBe(digest(plain.model()));
  });

  test("that end before they are ready are missed once, and the bits stay", async () => {
    const warnings: string[] = [];
    fate.endsAtOnce = true;
    using trainer = await createTrainer({
      ...options,
      data,
      threads: 3,
      onWarning: (text) => warnings.push(text),
    }).finally(() => {
      fate.endsAtOnce = false;
    });
    expect(trainer.threads).toBe(1);
    expect(warnings).toEqual(["a thread is not there: it ended by itself; training goes on with fewer"]);
    for await (const _ of trainer);
    using plain = await createTrainer({ ...options, data });
    for await (const _ of plain);
    expect(digest(trainer.model())).toBe(digest(plain.model()));
  });

  test("are told about once: when they fail to start, or when they end after that", async () => {
    const ends: string[] = [];
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const data = { module: new WebAssembly.Module(EMPTY), memory, control: 0, desc: 64, scratch: 128 };
    // Nothing that it exports is called before there is a job.
    await startThread(data, (reason) => ends.push(reason));
    await endWorkers();
    expect(ends).toEqual(["it ended by itself"]);
    const misaligned = startThread({ ...data, control: 1 }, (reason) => ends.push(reason));
    await expect(misaligned).rejects.toThrow("start offset of Int32Array should be a multiple of 4");
    await expect.poll(() => workers.length).toBe(0);
    expect(ends).toHaveLength(1);
  });

  test("end with the trainer", async () => {
    const trainer = await createTrainer({ ...options, data, threads: 3 });
    expect(workers).toHaveLength(2);
    trainer.dispose();
    await expect.poll(() => workers.length).toBe(0);
  });

  test("end when nobody holds the session any more", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    await createTrainer({ ...options, data, threads: 2 });
    expect(workers).toHaveLength(1);
    const left = () => {
      collect();
      return workers.length;
    };
    await expect.poll(left, { timeout: 5000 }).toBe(0);
  });

  test("a number that cannot be is refused", async () => {
    for (const threads of [0, 1.5, 257]) {
      await expect(createTrainer({ ...options, data, threads })).rejects.toMatchObject({
        code: "IFM_USAGE",
        message: expect.stringContaining("threads: expected a whole number from 1 to 256"),
      });
    }
  });

  test("rows longer than there was room for are scored by one thread", async () => {
    const long = { label: 1, slots: Array.from({ length: 5000 }, (_, i) => ({ feature: i % 300, value: 1 })) };
    const rows = await parse([long, ...plantedRows(300, 1)]);
    using trainer = await createTrainer({
      model: { model: "fm", factors: 3, features: 300 },
      data,
      train: { epochs: 1 },
    });
    for await (const _ of trainer);
    using one = trainer.model();
    using two = await Model.load(one.toBytes(), { threads: 2 });
    expect(two.predict(rows)).toEqual(one.predict(rows));
  });
});
