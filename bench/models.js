import { createTrainer, Model } from "../dist/node.js";
import { FIELDS, madeRows } from "./data.js";
import { forwardBytes, forwardFlops, touchedPerBatch, trainBytes, trainFlops, workingSet } from "./flops.js";
import { leastSeconds, rowLimit } from "./limits.js";
import { median, secondsOf, short } from "./time.js";

/*
 * Whole epochs by the public API: shuffling, batches, updates and the metrics of the pass are all in the time; evaluation
 * is not. Adagrad, all values 1, no dropout unless it is said.
 */

/** What is measured. `[A, K]` as in the paper; KF is the default, 16. */
export const MODELS = [
  { title: "FM 8", model: "fm", K: 8 },
  { title: "FM 64", model: "fm", K: 64 },
  { title: "FM 256", model: "fm", K: 256 },
  { title: "AFM [8, 64]", model: "afm", A: 8, K: 64 },
  { title: "IFM [16, 16]", model: "ifm", A: 16, K: 16 },
  { title: "IFM [8, 64]", model: "ifm", A: 8, K: 64 },
  { title: "IFM [8, 256]", model: "ifm", A: 8, K: 256 },
  { title: "IFM [8, 256], keep 1, 0.9", model: "ifm", A: 8, K: 256, train: { keep: [1, 0.9] }, on: "frappe" },
  {
    title: "IFM [8, 256], half of the pairs",
    model: "ifm",
    A: 8,
    K: 256,
    train: { samplePairs: 0.5 },
    on: "frappe",
    onlyTrain: true,
  },
  { title: "INN [8, 64], hidden 16", model: "inn", A: 8, K: 64, hidden: [16] },
  { title: "DeepIFM [16, 16], hidden 100, 75, 50", model: "deepifm", A: 16, K: 16, hidden: [100, 75, 50] },
];

export const SHAPES = [
  { shape: "frappe", fields: FIELDS.frappe, batchSize: 2048 },
  { shape: "ml-tag", fields: FIELDS["ml-tag"], batchSize: 4096 },
];

/** Default of `fieldFactors`. */
const KF = 16;

/** Options of createTrainer, and the shape that flops.js counts. */
export function describe({ model, A = 0, K, hidden = [], train = {} }, data, batchSize) {
  return {
    shape: { model, M: data.maxSlots, K, A, KF: model === "fm" || model === "afm" ? 0 : KF, hidden },
    options: {
      model: {
        model,
        factors: K,
        ...(A ? { attentionFactors: A } : {}),
        ...(hidden.length > 0 ? { hidden } : {}),
        loss: "logistic",
      },
      train: { optimizer: "adagrad", lr: 0.01, batchSize, earlyStop: 0, ...train },
      data: { train: data },
    },
  };
}

/** How many threads a trainer has when it is asked for `wanted`; versions without the option have one. */
export async function threadsOf(wanted) {
  const train = madeRows([2, 2], 64);
  const trainer = await createTrainer({ model: { model: "fm", factors: 4 }, data: { train }, threads: wanted });
  const { threads = 1 } = trainer.start;
  await trainer.dispose();
  return threads;
}

/** Only where it is asked for: versions without threads may refuse the option. */
const withThreads = (threads) => (threads > 1 ? { threads } : {});

/**
 * Seconds of epochs that are not counted, the first one at least: memory is touched for the first time, and the engine's
 * better code of the kernels comes from a thread in the background, late where that has to wait for a core.
 */
const WARM_SECONDS = 0.3;

/** A model's rows a second in training: the median of warm epochs. `keep`: its model file, too. */
export async function trainingSpeed(options, { seconds = 1, threads = 1, least = 2, keep = false } = {}) {
  const trainer = await createTrainer({
    ...options,
    train: { ...options.train, epochs: 10_000 },
    ...withThreads(threads),
  });
  const speeds = [];
  let warm = 0;
  let spent = 0;
  for await (const event of trainer) {
    if (event.event !== "epoch") continue;
    if (warm < WARM_SECONDS) {
      warm += event.seconds;
    } else {
      speeds.push(event.rowsPerSecond);
      spent += event.seconds;
    }
    if (speeds.length >= least && spent >= seconds) break;
  }
  const { memoryBytes, parameters } = trainer.start;
  const bytes = keep ? trainer.model().toBytes() : undefined;
  await trainer.dispose();
  return { rowsPerSecond: median(speeds), memoryBytes, parameters, bytes };
}

/** Rows a second in prediction, of a model file. */
export async function predictionSpeed(bytes, data, { seconds = 0.5, threads = 1 } = {}) {
  const model = await Model.load(bytes, withThreads(threads));
  const time = await secondsOf(() => model.predict(data), seconds, 2);
  await model.dispose();
  return data.rows / time;
}

/** Rows, in whole batches, of an epoch of about so many operations: some tenths of a second. */
export function rowsFor(shape, batchSize, operations = 5e9) {
  const flops = trainFlops(shape, { batch: batchSize, touched: batchSize });
  const wanted = Math.min(65536, operations / flops);
  return batchSize * Math.max(2, Math.round(wanted / batchSize));
}

/**
 * @param {import("./limits.js").Limits} limits
 * @param {{ threads: readonly number[], seconds: number, only?: (title: string) => boolean,
 *   log?: (line: string) => void }} settings
 */
export async function benchModels(limits, { threads, seconds, only = () => true, log = () => {} }) {
  const results = [];
  for (const { shape: dataName, fields, batchSize } of SHAPES) {
    const all = madeRows(fields, 32 * batchSize);
    for (const declared of MODELS) {
      if ((declared.on ?? dataName) !== dataName || !only(declared.title)) continue;
      const rows = rowsFor(describe(declared, all, batchSize).shape, batchSize);
      const data = madeRows(fields, rows);
      const { shape, options } = describe(declared, data, batchSize);
      const batch = { batch: batchSize, touched: touchedPerBatch(data, batchSize) };
      // The kernels' work where only some of the pairs are looked at is not what the formulae count.
      const counts = declared.train?.samplePairs === undefined;
      const share = (rate, flops, bytes, set, cores) => {
        if (!counts) return { gflops: Number.NaN, gbs: Number.NaN, fraction: Number.NaN, by: "" };
        const least = leastSeconds(flops, bytes, limits.arithmetic * cores, rowLimit(limits, set) * cores);
        return {
          gflops: (flops * rate) / 1e9,
          gbs: (bytes * rate) / 1e9,
          fraction: least.seconds * rate,
          by: least.by,
        };
      };
      for (const count of threads) {
        const train = await trainingSpeed(options, { seconds, threads: count, keep: !declared.onlyTrain });
        const set = workingSet(shape, batch);
        const predicted = declared.onlyTrain
          ? Number.NaN
          : await predictionSpeed(train.bytes, data, { seconds: seconds / 2, threads: count });
        const tableBytes = workingSet(shape, batch, false);
        const result = {
          title: declared.title,
          data: dataName,
          threads: count,
          flops: trainFlops(shape, batch),
          train: train.rowsPerSecond,
          ...share(train.rowsPerSecond, trainFlops(shape, batch), trainBytes(shape, batch), set, count),
          predict: predicted,
          prediction: share(predicted, forwardFlops(shape), forwardBytes(shape), tableBytes, count),
          parameters: train.parameters,
          memoryBytes: train.memoryBytes,
        };
        results.push(result);
        log(
          `${dataName}: ${declared.title}, ${count} thread(s): train ${short(result.train)}, predict ${short(predicted)}`,
        );
      }
    }
  }
  return results;
}
