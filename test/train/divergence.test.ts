import { describe, expect, test } from "vitest";
import { type Checkpoint, createTrainer, type TrainEvent, type TrainerOptions } from "../../src/api.js";
import type { Dataset } from "../../src/data/dataset.js";
import { readLibfm } from "../../src/data/read.js";
import { assertSameBits } from "../support/compare.js";
import { libfmText, parse, plantedRows } from "../support/data.js";
import { digest, errorOf, train } from "../support/train.js";

const rows = plantedRows(200, 1);
const data = { train: await parse(rows, "train.libfm"), validation: await parse(plantedRows(50, 2)) };

const options = (extra: Partial<TrainerOptions> = {}): TrainerOptions => ({
  model: { model: "fm", factors: 4 },
  train: { epochs: 5, batchSize: 20, shuffle: false, earlyStop: 0 },
  data,
  ...extra,
});

/** The planted rows, one of which (from 0) has a value in its second slot. */
async function withValue(row: number, value: string): Promise<Dataset> {
  const lines = libfmText(rows).split("\n");
  lines[row] = lines[row]!.replace(/ (\d+):1 (\d+):1 /, ` $1:1 $2:${value} `);
  return readLibfm(`# a comment\n${lines.join("\n")}`, { name: "large.libfm" });
}

describe("found within the batch", () => {
  test.each(["fm", "afm", "ifm", "inn", "deepifm"] as const)(
    "%s: a score that overflows: row, feature, value",
    async (model) => {
      const set = await withValue(47, "3e38");
      const feature = set.features[3 * 47 + 1];
      const error = await errorOf(
        train(options({ model: { model, factors: 4, loss: "squared" }, data: { train: set } })),
      );
      expect([error.code, error.file, error.line]).toEqual(["IFM_DIVERGED", "large.libfm", 49]);
      expect(error.message).toMatch(/^large\.libfm:49: training diverged: .* at epoch 1, batch 3 \(lr 0\.05\): /);
      expect(error.message).toContain(`in this row feature ${feature} has the value 3.00e+38`);
      expect(error.hint).toMatch(/--on-divergence retry/);
    },
  );

  test("a loss that is not finite: its batch changes no weight", async () => {
    const set = await withValue(47, "3e38");
    const trainer = await createTrainer(options({ data: { train: set } }));
    await errorOf(
      (async () => {
        for await (const _ of trainer);
      })(),
    );
    // Of the first two batches alone.
    const two = await parse(rows.slice(0, 40));
    const short = options({ model: { model: "fm", factors: 4, features: set.featureCount }, data: { train: two } });
    const { model } = await train({ ...short, train: { ...short.train!, epochs: 1 } });
    assertSameBits("weights", trainer.model().tensor("feature_embeddings"), model.tensor("feature_embeddings"));
  });

  test("a gradient that overflows while the loss is finite", async () => {
    // The score is near 0; dLoss/dv = dy x Σ v x is of the order of x².
    const error = await errorOf(
      train(options({ data: { train: await withValue(8, "1e25") }, model: { model: "fm", factors: 4 } })),
    );
    expect(error.code).toBe("IFM_DIVERGED");
    expect(error.message).toMatch(/^large\.libfm:10: training diverged: .* at epoch 1, batch 1 /);
  });

  test.each(["sgd", "momentum", "adagrad", "adam", "ftrl"] as const)(
    "%s: a step that leaves a weight that is not finite",
    async (optimizer) => {
      const lr = 3e38;
      const error = await errorOf(train(options({ train: { ...options().train, optimizer, lr, momentum: 0 } })));
      expect(error.code).toBe("IFM_DIVERGED");
      expect(error.message).toMatch(/^train\.libfm:\d+: training diverged: .* at epoch 1, batch [12] \(lr 3e\+38\): /);
    },
  );

  test("the same message on any number of threads", async () => {
    const messages = [];
    for (const threads of [1, 3]) {
      const of = options({ threads, train: { ...options().train, optimizer: "sgd", lr: 300, batchSize: 150 } });
      messages.push((await errorOf(train(of))).message);
    }
    expect(messages[1]).toBe(messages[0]);
    expect(messages[0]).toMatch(/weights stopped being finite|loss became|a gradient became/);
  });

  test("pairs of bpr: the row of the file", async () => {
    const set = await withValue(47, "3e38");
    const of = options({ data: { train: set }, model: { model: "fm", factors: 4, loss: "bpr" } });
    const error = await errorOf(train({ ...of, train: { ...of.train, bpr: { groupBy: [2] } } }));
    expect([error.code, error.line]).toEqual(["IFM_DIVERGED", 49]);
  });
});

describe("onDivergence: retry", () => {
  /** Diverges in some epoch, and no more at a fraction of its learning rate. */
  const wild = options({
    train: { ...options().train, optimizer: "sgd", lr: 3, epochs: 6 },
    onDivergence: "retry",
    divergenceRetries: 10,
  });

  test("goes back to the end of the best epoch with half the learning rate, and tells it", async () => {
    const { rollbacks, epochs, model } = await train(wild);
    expect(rollbacks.length).toBeGreaterThan(0);
    rollbacks.forEach((event, i) => {
      expect(event).toMatchObject({ event: "rollback", lr: 3 / 2 ** (i + 1), retry: i + 1, retries: 10 });
      expect(event.to).toBeLessThan(event.epoch);
      expect(event.message).toMatch(/training diverged: /);
    });
    expect(epochs.at(-1)!.epoch).toBe(6);
    expect(model.record.retries).toBe(rollbacks.length);
    expect(model.record.train!.lr).toBe(3);
    for (const { name } of model.tensors) expect(model.tensor(name).every(Number.isFinite), name).toBe(true);
  });

  test("from the start it is a training with the smaller learning rate", async () => {
    const early = { ...wild, train: { ...wild.train, lr: 1 } };
    const { rollbacks, model } = await train(early);
    expect(rollbacks.every(({ to }) => to === 0)).toBe(true);
    const small = await train({ ...wild, train: { ...wild.train, lr: 1 / 2 ** rollbacks.length } });
    expect(small.rollbacks).toEqual([]);
    expect(digest(model)).toBe(digest(small.model));
  });

  test.each(["sgd", "momentum", "adagrad", "adam", "ftrl"] as const)(
    "%s: the same again, on any number of threads",
    async (optimizer) => {
      const of = { ...wild, train: { ...wild.train, optimizer, lr: optimizer === "momentum" ? 0.1 : 1e19 } };
      of.divergenceRetries = 100;
      const [first, second] = [await train(of), await train({ ...of, threads: 2 })];
      expect(second.rollbacks).toEqual(first.rollbacks);
      expect(digest(second.model)).toBe(digest(first.model));
    },
  );

  test("ends with IFM_DIVERGED when that was often enough", async () => {
    const trainer = await createTrainer({ ...wild, train: { ...wild.train, lr: 1e30 }, divergenceRetries: 2 });
    const events: TrainEvent[] = [];
    const error = await errorOf(
      (async () => {
        for await (const event of trainer) events.push(event);
      })(),
    );
    expect(events.map(({ event }) => event)).toEqual(["start", "rollback", "rollback"]);
    expect(error.message).toContain("(lr 2.5e+29)");
  });

  test("with checkpoints before and after: the same bytes, and the same events from there on", async () => {
    const taken: Checkpoint[] = [];
    const bytes: Uint8Array[] = [];
    const write = (checkpoint: Checkpoint) => {
      taken.push(checkpoint);
      bytes.push(checkpoint.toBytes());
    };
    // Diverges in the middle of an epoch that is not the first: a weight grows slowly.
    const late = { ...wild, train: { ...wild.train, lr: 0.05, optimizer: "momentum" as const, epochs: 8 } };
    const full = await train({ ...late, checkpoint: { every: { steps: 1 }, write } });
    expect(full.rollbacks.some(({ to, batch }) => to > 0 && batch > 1)).toBe(true);
    const seconds = (events: TrainEvent[]) => events.map((event) => ({ ...event, seconds: 0, rowsPerSecond: 0 }));
    for (let i = 0; i < taken.length; i += 7) {
      const resumed = await train({ ...late, resume: bytes[i]! });
      assertSameBits(`${taken[i]!.steps} ${taken[i]!.retries}`, resumed.model.toBytes(), full.model.toBytes());
      expect(resumed.rollbacks).toEqual(full.rollbacks.slice(taken[i]!.retries));
      // Epochs that were gone back behind are done twice.
      expect(seconds(resumed.epochs)).toEqual(seconds(full.epochs).slice(-resumed.epochs.length));
    }
  });

  test("a training that has stopped goes on with it from its last checkpoint, also within an epoch", async () => {
    let last: Uint8Array | undefined;
    const write = (checkpoint: Checkpoint) => {
      last ??= checkpoint.toBytes();
    };
    const retries = { ...wild, train: { ...wild.train, lr: 0.3 } };
    const { onDivergence: _retry, divergenceRetries: _most, ...stops } = retries;
    const trainer = await createTrainer({ ...stops, checkpoint: { every: { steps: 1 }, write } });
    await errorOf(
      (async () => {
        for await (const _ of trainer);
      })(),
    );
    expect(() => trainer.checkpoint()).toThrow("training has diverged");
    const { rollbacks, end, start } = await train({ ...retries, resume: last! });
    expect(start.resumed).toEqual({ epochs: 0, row: 20, steps: 1 });
    expect(rollbacks.length).toBeGreaterThan(0);
    expect(end.reason).toBe("epochs");
  });

  test.each([
    [{ onDivergence: "ignore" }, 'onDivergence: expected one of stop, retry, got "ignore"'],
    [
      { onDivergence: "retry", divergenceRetries: 0 },
      "divergenceRetries: expected a whole number from 1 to 100, got 0",
    ],
  ])("%j is refused", async (wrong, message) => {
    const error = await errorOf(createTrainer({ ...options(), ...(wrong as object) }));
    expect([error.code, error.message]).toEqual(["IFM_USAGE", message]);
  });
});
