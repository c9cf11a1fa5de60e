import { beforeAll, describe, expect, test } from "vitest";
import {
  type Checkpoint,
  createTrainer,
  type EpochEvent,
  type TrainEvent,
  type Trainer,
  type TrainerOptions,
  type TrainOptions,
} from "../../src/api.js";
import { assertSameBits } from "../support/compare.js";
import { noiseRows, parse, plantedRows } from "../support/data.js";
import { configOf, rowsOf } from "../support/session.js";
import { errorOf } from "../support/train.js";

/*
 * The three-way test: a training that was never interrupted = one that went on from a checkpoint ≠ one that began anew.
 */

const rows = plantedRows(330, 1);
const data = {
  train: await parse(rows),
  validation: await parse(plantedRows(60, 2)),
  test: await parse(plantedRows(40, 3)),
};
const valued = {
  train: await parse(rowsOf(configOf({ model: "ifm", features: 30 }, 3), 330, 3)),
  validation: await parse(rowsOf(configOf({ model: "ifm", features: 30 }, 3), 60, 4)),
};

/** Batches of an epoch: 5. */
const BATCH = 70;
/** In the first epoch, in the middle of one, one batch before its end, at its end. */
const PLACES = [1, 7, 9, 10, 13];

const shape = { factors: 6, attentionFactors: 3, fieldFactors: 2, hidden: [5] };
const options = (model: string, train: TrainOptions = {}, extra: Partial<TrainerOptions> = {}): TrainerOptions => ({
  model: { ...shape, model: model as "fm" },
  train: { epochs: 4, batchSize: BATCH, keep: [0.9, 0.8], earlyStop: 0, ...train },
  data,
  ...extra,
});

const timeless = (events: TrainEvent[]) =>
  events
    .filter(({ event }) => event !== "start")
    .map((event) => ({ ...event, seconds: 0, ...("rowsPerSecond" in event && { rowsPerSecond: 0 }) }));

async function finish(trainer: Trainer) {
  const events: TrainEvent[] = [];
  for await (const event of trainer) events.push(event);
  const model = trainer.model().toBytes();
  trainer.dispose();
  return { events: timeless(events), model };
}

/** A whole training, and the checkpoints after every batch. */
async function whole(of: TrainerOptions) {
  const taken = new Map<string, { bytes: Uint8Array; place: Checkpoint }>();
  const write = (place: Checkpoint) => void taken.set(`${place.steps}`, { bytes: place.toBytes(), place });
  const trainer = await createTrainer({ ...of, checkpoint: { every: { steps: 1 }, write } });
  return { ...(await finish(trainer)), taken };
}

/** Events after a place: the epochs that were not done there, and the end. */
const after = (events: TrainEvent[], epochs: number) =>
  events.filter((event) => event.event === "end" || (event as EpochEvent).epoch > epochs);

async function expectThreeWay(of: TrainerOptions, places = PLACES, threads = [1]) {
  const plain = await finish(await createTrainer(of));
  const { taken, ...full } = await whole(of);
  expect(full.events).toEqual(plain.events);
  assertSameBits("model of a training with checkpoints", full.model, plain.model);
  for (const steps of places) {
    const { bytes, place } = taken.get(`${steps}`)!;
    const trainer = await createTrainer({ ...of, resume: bytes, threads: threads[steps % threads.length]! });
    expect(trainer.start.resumed).toEqual({ epochs: place.epochs, row: place.row, steps });
    const resumed = await finish(trainer);
    assertSameBits(`model, resumed at ${steps}`, resumed.model, plain.model);
    expect(resumed.events).toEqual(after(plain.events, place.epochs));
    // What a cold start makes of the epochs that are left.
    const epochs = of.train!.epochs! - place.epochs;
    const cold = await finish(await createTrainer({ ...of, train: { ...of.train, epochs } }));
    if (place.epochs > 0) expect(Buffer.compare(cold.model, plain.model)).not.toBe(0);
  }
}

const OPTIMIZERS: Record<string, TrainOptions> = {
  sgd: { optimizer: "sgd", lr: 0.02 },
  momentum: { optimizer: "momentum", lr: 0.005 },
  adagrad: { optimizer: "adagrad" },
  adam: { optimizer: "adam", lr: 0.01 },
  "adam, exact": { optimizer: "adam", lr: 0.01, adam: { exact: true } },
  ftrl: { optimizer: "ftrl", lr: 0.1, ftrl: { l1: 0.001, l2: 0.01 } },
};

describe.each(["fm", "afm", "ifm", "inn", "deepifm"])("%s", (model) => {
  test.each(Object.entries(OPTIMIZERS))("%s: uninterrupted = resumed ≠ cold start", async (_name, train) => {
    await expectThreeWay(options(model, train));
  });

  test("with threads before and after", async () => {
    await expectThreeWay(options(model, { optimizer: "adam", lr: 0.01, clipNorm: 1 }, { threads: 2 }), [7, 10], [1, 3]);
  });
});

describe("everything else that has a state", () => {
  const cases: Record<string, TrainerOptions> = {
    "batch norm": { ...options("fm", {}), model: { ...shape, model: "fm", batchNorm: true } },
    "values, logistic loss": {
      ...options("ifm", {}, { data: valued }),
      model: { ...shape, model: "ifm", loss: "logistic" },
    },
    "sampled pairs": options("ifm", { samplePairs: 0.5, sampleAfter: 6, clipNorm: 0.5 }),
    "bpr, listed": {
      ...options("fm", { bpr: { groupBy: [2] }, batchSize: 40 }),
      model: { ...shape, model: "fm", loss: "bpr" },
    },
    "bpr, drawn": {
      ...options("ifm", { bpr: { groupBy: [2], itemFields: [1], negatives: 2 }, batchSize: 90 }),
      model: { ...shape, model: "ifm", loss: "bpr" },
    },
    "evaluation of the training rows": options("fm", {}, { evaluateTrain: true }),
    "without validation rows": options("fm", {}, { data: { train: data.train } }),
    "file order, some frozen, mean": options("ifm", { shuffle: false, freeze: ["bias", "factor"], reduction: "mean" }),
    retry: options("ifm", {}, { onDivergence: "retry" }),
    "features that the model does not know": { ...options("fm"), model: { ...shape, model: "fm", features: 12 } },
  };

  test.each(Object.entries(cases))("%s", async (_name, of) => {
    await expectThreeWay(of);
  });

  test("early stopping, with the best weights", async () => {
    const noise = { train: await parse(noiseRows(330, 1)), validation: await parse(noiseRows(60, 9)) };
    const of = options("fm", { epochs: 20, earlyStop: 3, lr: 0.2 }, { data: noise });
    const { events } = await finish(await createTrainer(of));
    const end = events.at(-1)!;
    expect(end).toMatchObject({ event: "end", reason: "early-stop" });
    const { epochs } = end as { epochs: number };
    // Between the best epoch and the end, where best and current weights differ.
    await expectThreeWay(of, [5 * epochs - 12, 5 * epochs - 5, 5 * epochs - 1]);
  });

  test("the rows that the trainer owns", async () => {
    const own = async () => ({ ...options("fm"), data: { train: await parse(rows) }, ownsRows: true });
    const { taken, model } = await whole(await own());
    const { bytes } = taken.get("7")!;
    assertSameBits("owned", (await finish(await createTrainer({ ...(await own()), resume: bytes }))).model, model);
    const lent = { ...options("fm"), data: { train: data.train }, resume: bytes };
    assertSameBits("lent", (await finish(await createTrainer(lent))).model, model);
  });
});

describe("when", () => {
  const places = async (every: object) => {
    const seen: number[][] = [];
    const write = ({ epochs, row, steps }: Checkpoint) => void seen.push([epochs, row, steps]);
    await finish(await createTrainer(options("fm", { epochs: 3 }, { checkpoint: { every, write } })));
    return seen;
  };

  test("every so many batches, at their number; and at the end", async () => {
    expect(await places({ steps: 4 })).toEqual([
      [0, 280, 4],
      [1, 210, 8],
      [2, 140, 12],
      [3, 0, 15],
    ]);
  });

  test("every so many epochs; and at the end", async () => {
    expect(await places({ epochs: 2 })).toEqual([
      [2, 0, 10],
      [3, 0, 15],
    ]);
  });

  test("every so many seconds, by default 300; and at the end", async () => {
    expect(await places({})).toEqual([[3, 0, 15]]);
    expect(await places({ seconds: 1e-9 })).toHaveLength(15);
  });

  test("when training is ended from outside", async () => {
    const stop = new AbortController();
    const taken: Uint8Array[] = [];
    const of = options("fm", {}, { checkpoint: { write: (place) => void taken.push(place.toBytes()) } });
    const trainer = await createTrainer({ ...of, signal: stop.signal });
    for await (const { event } of trainer) if (event === "epoch") stop.abort();
    expect(taken).toHaveLength(1);
    const resumed = await finish(await createTrainer({ ...of, resume: taken[0]! }));
    assertSameBits("model", resumed.model, (await finish(await createTrainer(options("fm")))).model);
  });

  test("when it is asked for, between events", async () => {
    const trainer = await createTrainer(options("fm", {}, { checkpoint: {} }));
    const events = trainer[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) await events.next();
    const checkpoint = trainer.checkpoint();
    expect(checkpoint).toMatchObject({ epochs: 2, row: 0, steps: 10 });
    const bytes = checkpoint.toBytes();
    expect(bytes).toHaveLength(checkpoint.bytes);
    await events.next();
    expect(() => checkpoint.toBytes()).toThrow("read after training has gone on");
    const resumed = await finish(await createTrainer(options("fm", {}, { resume: bytes })));
    assertSameBits("model", resumed.model, (await finish(await createTrainer(options("fm")))).model);
  });

  test("while rows are evaluated", async () => {
    const taken: Uint8Array[] = [];
    const trainer: Trainer = await createTrainer(
      options(
        "fm",
        {},
        {
          checkpoint: {},
          onProgress: ({ phase, epoch }) =>
            phase === "evaluate" && epoch === 2 && taken.push(trainer.checkpoint().toBytes()),
        },
      ),
    );
    const full = await finish(trainer);
    expect(taken).toHaveLength(2); // validation, test
    for (const resume of taken) {
      const resumed = await finish(await createTrainer(options("fm", {}, { resume })));
      expect(resumed.events).toEqual(after(full.events, 1));
      assertSameBits("model", resumed.model, full.model);
    }
  });

  test("never without the option", async () => {
    using trainer = await createTrainer(options("fm"));
    expect(() => trainer.checkpoint()).toThrow(expect.objectContaining({ code: "IFM_USAGE" }));
  });

  test.each([{ steps: 0 }, { epochs: 1.5 }, { seconds: -1 }, { minutes: 1 }])("every %j is refused", async (every) => {
    const error = await errorOf(createTrainer(options("fm", {}, { checkpoint: { every: every as object } })));
    expect([error.code, error.message]).toEqual(["IFM_USAGE", expect.stringMatching(/^checkpoint\.every: expected/)]);
  });

  test("a write that fails ends nothing, warns once, and is tried again", async () => {
    const warnings: string[] = [];
    const stored: number[] = [];
    const write = ({ steps }: Checkpoint) => {
      if (steps < 8) throw new Error("the disk is full");
      stored.push(steps);
    };
    const of = options(
      "fm",
      {},
      { checkpoint: { every: { steps: 2 }, write }, onWarning: (text) => warnings.push(text) },
    );
    const { model } = await finish(await createTrainer(of));
    expect(warnings).toEqual(["no checkpoint was written: the disk is full; training goes on, and tries again"]);
    expect(stored).toEqual([8, 10, 12, 14, 16, 18, 20]);
    assertSameBits("model", model, (await finish(await createTrainer(options("fm")))).model);
  });
});

describe("a training that has ended", () => {
  test("says its end again, and has the same model", async () => {
    const { taken, events, model } = await whole(options("fm"));
    const resumed = await finish(await createTrainer(options("fm", {}, { resume: taken.get("20")!.bytes })));
    expect(resumed.events).toEqual([events.at(-1)]);
    assertSameBits("model", resumed.model, model);
  });

  test("goes on with more epochs, as if they had been asked for at once", async () => {
    const { taken } = await whole(options("fm"));
    const six = await finish(await createTrainer(options("fm", { epochs: 6 })));
    const resume = taken.get("20")!.bytes;
    const resumed = await finish(await createTrainer(options("fm", { epochs: 6 }, { resume })));
    assertSameBits("model", resumed.model, six.model);
  });

  test("does not have fewer", async () => {
    const { taken } = await whole(options("fm"));
    const error = await errorOf(createTrainer(options("fm", { epochs: 2 }, { resume: taken.get("11")!.bytes })));
    expect(error.message).toBe("checkpoint: has begun 3 epochs, epochs is 2");
  });

  test("of no epochs", async () => {
    const { taken } = await whole(options("fm", { epochs: 0 }));
    const resumed = await finish(await createTrainer(options("fm", { epochs: 0 }, { resume: taken.get("0")!.bytes })));
    expect(resumed.events).toMatchObject([{ event: "end", epochs: 0, bestEpoch: 0 }]);
  });
});

describe("a checkpoint of another training is refused, with the difference", () => {
  let resume: Uint8Array;
  beforeAll(async () => {
    resume = (await whole(options("ifm"))).taken.get("7")!.bytes;
  });
  const refusal = async (of: TrainerOptions) => {
    const error = await errorOf(createTrainer({ ...of, resume }));
    expect(error.code).toBe("IFM_MODEL");
    return error.message;
  };

  test.each<[string, TrainerOptions, string]>([
    ["learning rate", options("ifm", { lr: 0.1 }), "of another training: lr was 0.05, is 0.1"],
    ["several", options("ifm", { lr: 0.1, seed: 3 }), "of another training: lr was 0.05, is 0.1; seed was 2019, is 3"],
    ["inner option", options("ifm", { l2: { field: 1 } }), "of another training: l2.field was 0, is 1"],
    ["list", options("ifm", { keep: [1, 1] }), "of another training: keep was [0.9,0.8], is [1,1]"],
    ["measure", options("ifm", {}, { evaluateTrain: true }), "of another training: evaluateTrain was false, is true"],
    ["kernels", options("ifm", {}, { fast: true }), "of another training: fast was false, is true"],
  ])("%s", async (_name, of, message) => {
    expect(await refusal(of)).toBe(`checkpoint: ${message}`);
  });

  test("kind of model", async () => {
    expect(await refusal(options("fm"))).toMatch(/^checkpoint: of another training: model was "ifm", is "fm"; /);
  });

  test("rows", async () => {
    const one = await parse(
      rows.map((row, r) => (r === 200 ? { ...row, label: -row.label } : row)),
      "one.libfm",
    );
    expect(await refusal(options("ifm", {}, { data: { ...data, train: one } }))).toMatch(
      /^checkpoint: of other training rows: were 330 rows, 990 slots, hash "[0-9a-f]{16}", are 330 rows, 990 slots, hash "[0-9a-f]{16}" \(one\.libfm\)$/,
    );
    expect(await refusal(options("ifm", {}, { data: { ...data, validation: data.test } }))).toMatch(
      /^checkpoint: of other validation rows: were 60 rows, .* are 40 rows/,
    );
    const { test: _test, ...less } = data;
    expect(await refusal(options("ifm", {}, { data: less }))).toMatch(/^checkpoint: of other test rows: .*, are none$/);
  });

  test("initial model", async () => {
    using fm = await createTrainer({ ...options("fm"), train: { seed: 9 } });
    expect(await refusal(options("ifm", {}, { init: fm.model() }))).toBe(
      "checkpoint: of other initial weights: the model to start from is another one",
    );
  });
});
