import { describe, expect, test } from "vitest";
import {
  type Checkpoint,
  createTrainer,
  type EndEvent,
  type StartEvent,
  type TrainEvent,
  type Trainer,
  type TrainerOptions,
} from "../../src/api.js";
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

  describe("from a checkpoint of a training that stops when it diverges", () => {
    /** All of its checkpoints. */
    async function stopped(of: TrainerOptions) {
      const { onDivergence: _retry, divergenceRetries: _most, ...stops } = of;
      const { trainer, taken } = await watched(stops);
      const error = await errorOf(eventsOf(trainer));
      expect(error.code).toBe("IFM_DIVERGED");
      expect(() => trainer.checkpoint()).toThrow("training has diverged");
      return taken;
    }

    async function watched(of: TrainerOptions) {
      const taken: { place: Checkpoint; bytes: Uint8Array }[] = [];
      const write = (place: Checkpoint) => void taken.push({ place, bytes: place.toBytes() });
      return { taken, trainer: await createTrainer({ ...of, checkpoint: { every: { steps: 1 }, write } }) };
    }

    async function eventsOf(trainer: Trainer) {
      const events: Exclude<TrainEvent, StartEvent>[] = [];
      for await (const event of trainer) {
        if (event.event !== "start") events.push(Object.assign({ ...event }, { seconds: 0, rowsPerSecond: 0 }));
      }
      return events;
    }

    /** Diverges in the third epoch, after ever worse ones. */
    const late = (earlyStop: number): TrainerOptions => ({
      ...wild,
      train: { ...wild.train, lr: 0.05, optimizer: "momentum", epochs: 8, earlyStop },
    });
    /** Batches before its checkpoints: within the second epoch, at its end, within the third. */
    const PLACES = [16, 20, 22, 25];

    test("goes back to that checkpoint, also within an epoch, until there is a better state", async () => {
      const of = { ...wild, train: { ...wild.train, lr: 0.3 } };
      const [first] = await stopped(of);
      const { rollbacks, end, start } = await train({ ...of, resume: first!.bytes });
      expect(start.resumed).toEqual({ epochs: 0, row: 20, steps: 1 });
      expect(rollbacks[0]).toMatchObject({ to: 0, row: 20, retry: 1 });
      expect(end.reason).toBe("epochs");
      const third = (await stopped(late(0)))[19]!;
      const { rollbacks: backs } = await train({ ...late(0), resume: third.bytes });
      expect(backs.map(({ to }) => to)).toEqual([2, 2, 3]);
      expect(backs.every(({ row }) => row === undefined)).toBe(true);
    });

    test("which was taken while rows were evaluated: the end of that epoch is another state", async () => {
      const { onDivergence: _retry, divergenceRetries: _most, ...stops } = late(0);
      let first: Uint8Array | undefined;
      const evaluated = await createTrainer({
        ...stops,
        checkpoint: {},
        onProgress({ phase, epoch }) {
          if (phase === "evaluate" && epoch === 2) first ??= evaluated.checkpoint().toBytes();
        },
      });
      await errorOf(eventsOf(evaluated));
      const { trainer, taken } = await watched({ ...late(0), resume: first! });
      const events = await eventsOf(trainer);
      expect(events.find(({ event }) => event === "rollback")).toMatchObject({ epoch: 3, to: 1, row: 200 });
      const { place, bytes } = taken[0]!;
      expect(place).toMatchObject({ epochs: 2, row: 0, steps: 20 });
      const second = await createTrainer({ ...late(0), resume: bytes });
      expect(await eventsOf(second)).toEqual(events.slice(1));
      assertSameBits("model", second.model().toBytes(), trainer.model().toBytes());
    });

    // With early stopping, the best model is that of an epoch before the checkpoint.
    test.each([0, 8])(
      "has one course, also across checkpoints of its own and on other threads; early stopping %i",
      async (earlyStop) => {
        const of = late(earlyStop);
        const all = await stopped(of);
        for (const steps of PLACES) {
          const { trainer, taken } = await watched({ ...of, resume: all[steps - 1]!.bytes });
          const events = await eventsOf(trainer);
          expect(events.some(({ event }) => event === "rollback")).toBe(true);
          const model = trainer.model();
          // Written of the best weights.
          expect(model.record.bestEpoch).toBe((events.at(-1) as EndEvent).bestEpoch);
          for (const [i, { place, bytes }] of taken.entries()) {
            if (i % 6 > 0) continue;
            const what = `${steps}: ${place.retries} ${place.steps}`;
            const second = await createTrainer({ ...of, resume: bytes, threads: 1 + (i % 4) / 2 });
            const rest = await eventsOf(second);
            expect(rest, what).toEqual(events.slice(-rest.length));
            assertSameBits(what, second.model().toBytes(), model.toBytes());
          }
        }
      },
    );

    test.each([0, 8])(
      "has the best model of then again when it has gone back; early stopping %i",
      async (earlyStop) => {
        const of = late(earlyStop);
        const all = await stopped(of);
        let seen = 0;
        for (const { place, bytes } of all.slice(15, 25)) {
          const then = await createTrainer({ ...of, resume: bytes });
          const stop = new AbortController();
          const { trainer, taken } = await watched({ ...of, resume: bytes, signal: stop.signal });
          let [end, hadOther]: [EndEvent | undefined, boolean] = [undefined, false];
          for await (const event of trainer) {
            // An epoch that gave the model other weights, and then was gone back behind.
            if (event.event === "epoch") hadOther ||= event.best || earlyStop === 0;
            if (event.event === "rollback") {
              if (hadOther && event.to === place.epochs && (event.row ?? 0) === place.row) stop.abort();
              hadOther = false;
            }
            if (event.event === "end") end = event;
          }
          if (end!.reason !== "aborted") continue;
          seen++;
          expect([end!.epochs, digest(trainer.model())]).toEqual([place.epochs, digest(then.model())]);
          expect(trainer.model().record.bestEpoch).toBe(then.model().record.bestEpoch);
          expect(end!.bestEpoch).toBe(then.model().record.bestEpoch);
          // What is written then can be gone on from.
          await createTrainer({ ...of, resume: taken.at(-1)!.bytes });
        }
        expect(seen).toBeGreaterThan(0);
      },
    );

    test("whose weights are ruined already, ends with IFM_DIVERGED", async () => {
      const all = await stopped(late(0));
      const error = await errorOf(train({ ...late(0), resume: all.at(-1)!.bytes }));
      expect([error.code, error.hint]).toEqual([
        "IFM_DIVERGED",
        expect.stringContaining("take the one before it, or begin anew"),
      ]);
    });
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
