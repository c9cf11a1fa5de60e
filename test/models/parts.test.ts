import { describe, expect, test } from "vitest";
import type { TrainOptions } from "../../src/train/trainer.js";
import { batchGradient, type RefModel, type RefRow } from "../reference/index.js";
import { assertClose, assertSameBits, nearly } from "../support/compare.js";
import { BUILDS } from "../support/memory.js";
import { Random } from "../support/random.js";
import {
  assertTensors,
  configOf,
  dropoutOptions,
  modelOf,
  repeatingRows,
  rowsOf,
  TestSession,
} from "../support/session.js";

// A batch in one call and the same batch in phases, their jobs in any order: the same bits.

const ROWS = 200; // four chunks of 64 rows, the last of 8

const models: { name: string; model: RefModel; rows: RefRow[]; train?: TrainOptions }[] = [
  ...[false, true].map((batchNorm) => {
    const config = configOf({ model: "fm", factors: 7, features: 40 });
    const rows = rowsOf(config, ROWS, 2, { upTo: 6, unknown: 3 });
    return { name: batchNorm ? "fm with batch norm" : "fm", model: modelOf(config, 1, batchNorm), rows };
  }),
  ...(["afm", "ifm", "inn", "deepifm"] as const).map((kind) => {
    const config = configOf({ model: kind, factors: 7, features: 40, loss: "logistic", hidden: [6, 3] }, 5);
    return { name: kind, model: modelOf(config, 3), rows: rowsOf(config, ROWS, 4, { unknown: 3 }) };
  }),
];
for (const kind of ["afm", "ifm"] as const) {
  const config = configOf({ model: kind, factors: 64, attentionFactors: 8, features: 40, loss: "logistic" }, 5);
  const rows = repeatingRows(rowsOf(config, 4, 4, { unknown: 3 }), ROWS, 5);
  models.push({ name: `${kind}, shared pairs`, model: modelOf(config, 3), rows });
}
models.push({
  ...models.find(({ name }) => name === "deepifm")!,
  name: "deepifm, sampling",
  train: { samplePairs: 0.5, sampleAfter: 1 },
});

const trainings: { name: string; train: TrainOptions }[] = [
  { name: "adagrad", train: { optimizer: "adagrad" } },
  {
    name: "momentum, dropout, L2",
    train: { optimizer: "momentum", keep: [0.9, 0.5], l2: { embedding: 0.5, field: 0.1 } },
  },
  { name: "exact adam, clipped", train: { optimizer: "adam", adam: { exact: true }, clipNorm: 0.5 } },
  { name: "ftrl, dropout, clipped", train: { optimizer: "ftrl", ftrl: { l1: 0.01 }, keep: [0.9, 0.5], clipNorm: 0.5 } },
];

/** The phases of a batch, their jobs in an order of their own, each with a scratch of its own. */
function trainInParts(session: TestSession, first: number, count: number, random: Random): number {
  const { kernels, desc } = session;
  const { address } = desc;
  const { samplePairs, sampleAfter } = session.train;
  const batch = session.nextBatch(first, count);
  const sampleCount = samplePairs < 1 && batch.step >= sampleAfter ? Math.floor(samplePairs * desc.get("P")) : 0;
  desc.set({ ...batch, sampleCount, sampleNoise: 1 });
  kernels.trainBegin(address);
  runPhase(session, random);
  const loss = kernels.trainReduce(address);
  do runPhase(session, random);
  while (kernels.trainNext(address));
  return loss;
}

function runPhase(session: TestSession, random: Random): void {
  const scratches = [session.newScratch(), session.newScratch()];
  for (const job of random.permutation(session.desc.get("jobs"))) runJob(session, job, random.pick(scratches));
}

/** One job of a phase: the others are taken, or not there. */
function runJob({ kernels, desc }: TestSession, job: number, scratch: number): void {
  desc.set({ nextJob: job, jobs: job + 1 });
  kernels.work(desc.address, scratch);
}

describe.each(BUILDS)("$build", ({ module }) => {
  describe.each(models)("$name", ({ model, rows, train: ofModel }) => {
    test.each(trainings)("$name: the parts equal the whole, bit for bit", ({ train: options }) => {
      const train = { ...options, ...ofModel };
      const whole = new TestSession(module, model, rows, train);
      expect(whole.session.chunkRows).toBe(64);
      const parts = [1, 2, 3].map((seed) => ({
        random: new Random(seed),
        session: new TestSession(module, model, rows, train, 2),
      }));
      // The last batch is smaller, so that what the ones before left behind would be seen.
      for (const [first, count] of [
        [0, ROWS],
        [0, ROWS],
        [130, 70],
      ] as const) {
        const loss = whole.trainBatch(first, count);
        for (const { session, random } of parts) {
          expect(trainInParts(session, first, count, random)).toBe(loss);
          assertSameBits("scores", session.batchScores(count), whole.batchScores(count));
          assertSameBits("weights and states", session.everything(), whole.everything());
        }
      }
    });

    test("both builds compute the same bits", () => {
      const [release, debug] = BUILDS.map(({ module }) => {
        const session = new TestSession(module, model, rows, { optimizer: "adam", keep: [0.9, 0.5], ...ofModel });
        for (let step = 0; step < 3; step++) session.trainBatch();
        return session.everything();
      });
      assertSameBits("weights and states", debug!, release!);
    });

    test("losses and gradients of several chunks are those of the twin", () => {
      const keep: [number, number] = [0.9, 0.7];
      const session = new TestSession(module, model, rows, { optimizer: "momentum", reduction: "sum", keep });
      const { loss } = model.config;
      const rowOptions = dropoutOptions(model.config, session.train, 0, rows);
      const twin = batchGradient(model, rows, { loss, reduction: "sum", rowOptions });
      assertClose("loss", [session.trainBatch()], nearly([twin.loss]), 1e-5);
      assertClose("scores", session.batchScores(), nearly(twin.scores), 1e-5);
      assertTensors("gradients", session.gradients(), twin.gradients, 1e-5);
    });

    // With batch norm a chunk runs once: it finds the linear parts where it puts the scores.
    if ("batch_norm.gamma" in model.tensors) return;
    test("a chunk's results are overwritten, not added to", () => {
      const once = new TestSession(module, model, rows);
      const twice = new TestSession(module, model, rows);
      for (const [session, times] of [
        [once, 1],
        [twice, 2],
      ] as const) {
        const { address } = session.desc;
        session.desc.set(session.nextBatch());
        session.kernels.trainBegin(address);
        const scratch = session.newScratch();
        for (let time = 0; time < times; time++) {
          for (let job = 0; job <= 4; job++) runJob(session, job, scratch);
        }
        session.kernels.trainReduce(address);
        do session.kernels.work(address, scratch);
        while (session.kernels.trainNext(address));
      }
      assertSameBits("weights", twice.everything(), once.everything());
    });
  });
});
