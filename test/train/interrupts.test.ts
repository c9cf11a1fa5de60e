import { afterEach, describe, expect, test, vi } from "vitest";
import { createTrainer, type EndEvent, type Progress, type TrainEvent, type TrainerOptions } from "../../src/api.js";
import { parse, plantedRows } from "../support/data.js";
import { digest, errorOf, train, weights } from "../support/train.js";

const data = { train: await parse(plantedRows(200, 1)), validation: await parse(plantedRows(50, 2)) };

const options = (extra: Partial<TrainerOptions> = {}): TrainerOptions => ({
  model: { model: "fm", factors: 4 },
  train: { epochs: 5, batchSize: 20 },
  data,
  ...extra,
});

afterEach(() => vi.restoreAllMocks());

/** A clock on which 100 ms pass between two looks: the event loop gets its turn after every batch. */
function fastClock(): void {
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => {
    now += 100;
    return now;
  });
}

function hasFiniteWeights(model: Parameters<typeof weights>[0]): boolean {
  return Object.values(weights(model)).every((data) => data.every(Number.isFinite));
}

describe("abort", () => {
  test("in the middle of an epoch: the end event says so, and the model is that of the epoch before", async () => {
    fastClock();
    const controller = new AbortController();
    const seen: Progress[] = [];
    using trainer = await createTrainer(
      options({
        signal: controller.signal,
        onProgress: (progress) => {
          seen.push(progress);
          if (progress.phase === "train" && progress.epoch === 3 && progress.rows === 100) controller.abort();
        },
      }),
    );
    const events: TrainEvent[] = [];
    for await (const event of trainer) events.push(event);
    expect(events.map(({ event }) => event)).toEqual(["start", "epoch", "epoch", "end"]);
    expect(events.at(-1)).toMatchObject({ reason: "aborted", bestEpoch: 2, epochs: 2 });
    expect(seen.at(-1)).toMatchObject({ epoch: 3, rows: 100, totalRows: 200 }); // nothing after it

    using model = trainer.model();
    vi.restoreAllMocks();
    const two = await train(options({ train: { epochs: 2, batchSize: 20 } }));
    expect(digest(model)).toBe(digest(two.model));
    expect(model.predict(data.validation).every(Number.isFinite)).toBe(true);
  });

  test("in the middle of the first epoch: the model has the weights as they are", async () => {
    fastClock();
    const controller = new AbortController();
    using trainer = await createTrainer(
      options({ signal: controller.signal, onProgress: ({ rows }) => rows === 100 && controller.abort() }),
    );
    const events: TrainEvent[] = [];
    for await (const event of trainer) events.push(event);
    expect(events.at(-1)).toMatchObject({ event: "end", reason: "aborted", bestEpoch: 0, epochs: 0 });
    using model = trainer.model();
    expect(hasFiniteWeights(model)).toBe(true);
    expect(model.record.bestEpoch).toBe(0);
  });

  test("before the first epoch", async () => {
    using trainer = await createTrainer(options({ signal: AbortSignal.abort() }));
    const events: TrainEvent[] = [];
    for await (const event of trainer) events.push(event);
    expect(events.map(({ event }) => event)).toEqual(["start", "end"]);
    expect(events[1]).toMatchObject({ reason: "aborted", bestEpoch: 0, epochs: 0 });
    using model = trainer.model();
    expect(hasFiniteWeights(model)).toBe(true);
  });

  test("between two epochs", async () => {
    const controller = new AbortController();
    using trainer = await createTrainer(options({ signal: controller.signal }));
    let end: EndEvent | undefined;
    for await (const event of trainer) {
      if (event.event === "epoch" && event.epoch === 2) controller.abort();
      if (event.event === "end") end = event;
    }
    expect(end).toMatchObject({ reason: "aborted", epochs: 2 });
  });
});

describe("leaving the loop", () => {
  test("ends training; the model is that of the last whole epoch", async () => {
    using trainer = await createTrainer(options());
    for await (const event of trainer) if (event.event === "epoch" && event.epoch === 2) break;
    using model = trainer.model();
    const two = await train(options({ train: { epochs: 2, batchSize: 20 } }));
    expect(digest(model)).toBe(digest(two.model));
  });
});

describe("divergence", () => {
  /** Runs until it throws; the events before, the error, and the trainer. */
  async function diverge(extra: Partial<TrainerOptions>) {
    const trainer = await createTrainer(options(extra));
    const events: TrainEvent[] = [];
    const error = await errorOf(
      (async () => {
        for await (const event of trainer) events.push(event);
      })(),
    );
    return { trainer, events, error };
  }

  test("in an epoch: IFM_DIVERGED names epoch, batch and learning rate", async () => {
    const { error } = await diverge({ train: { optimizer: "sgd", lr: 1e6, batchSize: 20 } });
    expect(error.code).toBe("IFM_DIVERGED");
    expect(error.message).toMatch(
      /^rows:\d+: training diverged: the loss became (NaN|Infinity) at epoch 1, batch \d+ \(lr 1000000\): /,
    );
    expect(error.hint).toMatch(/smaller --lr.*--clip-norm/);
  });

  test("in the validation: IFM_DIVERGED names the epoch, and the model has the best weights so far", async () => {
    const { trainer, events, error } = await diverge({ train: { optimizer: "sgd", lr: 1000, batchSize: 200 } });
    expect(error.code).toBe("IFM_DIVERGED");
    expect(error.message).toMatch(
      /^rows:\d+: training diverged: the weights stopped being finite at epoch \d, batch 1 \(lr 1000\): /,
    );
    const epochs = events.filter((event) => event.event === "epoch");
    expect(epochs.length).toBeGreaterThan(0);
    const best = epochs.findLast((event) => event.best)!;
    using model = trainer.model();
    expect(hasFiniteWeights(model)).toBe(true);
    expect(model.record.bestEpoch).toBe(best.epoch);
    expect(model.evaluate(data.validation)).toEqual(best.validation);
  });

  // Without validation rows, the metrics of an epoch are those of the scores before each update, so that they are
  // finite while the weights are not any more.
  test("without validation rows, too, the model's weights are finite", async () => {
    const { trainer } = await diverge({
      train: { optimizer: "sgd", lr: 10, batchSize: 200 },
      data: { train: data.train },
    });
    using model = trainer.model();
    expect(hasFiniteWeights(model)).toBe(true);
  });

  test("a run that ends has finite weights, or throws", async () => {
    for (const epochs of [1, 2, 3, 4, 5]) {
      try {
        const run = options({
          train: { optimizer: "sgd", lr: 10, batchSize: 200, epochs },
          data: { train: data.train },
        });
        expect(hasFiniteWeights((await train(run)).model)).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: "IFM_DIVERGED" });
      }
    }
  });

  test("in the first epoch: the model's weights are finite", async () => {
    const { trainer } = await diverge({ train: { optimizer: "sgd", lr: 1e6, batchSize: 20 } });
    using model = trainer.model();
    expect(hasFiniteWeights(model)).toBe(true);
  });
});

describe("dispose", () => {
  test("twice is fine, and nothing works afterwards", async () => {
    const trainer = await createTrainer(options());
    const { model } = await train(options());
    for (const thing of [trainer, model]) {
      thing.dispose();
      thing.dispose();
      thing[Symbol.dispose]();
    }
    const usage = (what: string) =>
      expect.objectContaining({ code: "IFM_USAGE", message: `${what}: used after dispose()` });
    expect(() => trainer.model()).toThrow(usage("trainer"));
    await expect(trainer[Symbol.asyncIterator]().next()).rejects.toThrow(usage("trainer"));
    expect(() => model.predict(data.train)).toThrow(usage("model"));
    expect(() => model.evaluate(data.train)).toThrow(usage("model"));
    expect(() => model.toBytes()).toThrow(usage("model"));
    expect(() => model.tensor("bias")).toThrow(usage("model"));
    await expect(model.save("/nowhere/at/all")).rejects.toThrow(usage("model"));
    expect(model.tensors.length).toBe(3); // names and shapes are no weights
  });

  test("a model outlives its trainer", async () => {
    const trainer = await createTrainer(options());
    const model = trainer.model();
    trainer.dispose();
    expect(model.predict(data.train).length).toBe(200);
  });

  test("models of one trainer do not share weights", async () => {
    using trainer = await createTrainer(options());
    const early = trainer.model();
    const before = digest(early);
    for await (const _ of trainer) expect(digest(early)).toBe(before);
    expect(digest(trainer.model())).not.toBe(before);
  });
});

test("a run is iterated once", async () => {
  using trainer = await createTrainer(options({ train: { epochs: 1 } }));
  for await (const _ of trainer);
  await expect(trainer[Symbol.asyncIterator]().next()).rejects.toThrow(
    expect.objectContaining({ code: "IFM_USAGE", message: expect.stringContaining("iterated once") }),
  );
});
