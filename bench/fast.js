import { createTrainer, Model } from "../dist/node.js";
import { FIELDS, madeRows } from "./data.js";
import { describe, MODELS, rowsFor } from "./models.js";
import { median, secondsOf, short } from "./time.js";

/*
 * What relaxed SIMD (`--fast`) is worth: the same model with both modules, in turn, one thread, on the Frappe shape. A
 * ratio is the median over the rounds.
 */

const BATCH = 2048;
/** One of each kind, and FM in three sizes. */
const TITLES = [
  ...["FM 8", "FM 64", "FM 256", "AFM [8, 64]", "IFM [16, 16]", "IFM [8, 64]", "IFM [8, 256]"],
  ...["INN [8, 64], hidden 16", "DeepIFM [16, 16], hidden 100, 75, 50"],
];

/** A trainer and a model of one module. `epoch`: rows a second of one. */
async function contestant(options, data, fast) {
  let relaxed = fast;
  const onWarning = () => {
    relaxed = false;
  };
  const trainer = await createTrainer({
    ...options,
    train: { ...options.train, epochs: 100_000 },
    fast,
    onWarning,
  });
  const events = trainer[Symbol.asyncIterator]();
  const epoch = async () => {
    for (;;) {
      const { value } = await events.next();
      if (value.event === "epoch") return value.rowsPerSecond;
    }
  };
  await epoch();
  const model = await Model.load(trainer.model().toBytes(), { fast, onWarning });
  return {
    epoch,
    predict: async (seconds) => data.rows / (await secondsOf(() => model.predict(data), seconds, 1)),
    relaxed: () => relaxed,
    async dispose() {
      await events.return?.();
      await trainer.dispose();
      await model.dispose();
    },
  };
}

/**
 * @param {{ rounds?: number, seconds?: number, quick?: boolean, log?: (line: string) => void }} settings
 * @returns one result a model; nothing when this runtime has no relaxed SIMD
 */
export async function benchFast({ rounds = 5, seconds = 0.1, quick = false, log = () => {} } = {}) {
  const results = [];
  for (const declared of MODELS) {
    if (!TITLES.includes(declared.title) || (quick && declared.title !== "FM 64")) continue;
    const all = madeRows(FIELDS.frappe, 16 * BATCH);
    const rows = Math.min(all.rows, rowsFor(describe(declared, all, BATCH).shape, BATCH, 1e9));
    const data = madeRows(FIELDS.frappe, rows);
    const { options } = describe(declared, data, BATCH);
    const both = [await contestant(options, data, false), await contestant(options, data, true)];
    const rates = both.map(() => ({ train: [], predict: [] }));
    // The first round warms up.
    for (let round = 0; both[1].relaxed() && round <= rounds; round++) {
      for (const [i, one] of both.entries()) {
        const epochs = [];
        for (const begin = performance.now(); epochs.length === 0 || performance.now() - begin < 1000 * seconds; )
          epochs.push(await one.epoch());
        const predict = await one.predict(seconds / 2);
        if (round === 0) continue;
        rates[i].train.push(median(epochs));
        rates[i].predict.push(predict);
      }
    }
    const there = both[1].relaxed();
    for (const one of both) await one.dispose();
    if (!there) {
      log("fast: this runtime has no relaxed SIMD");
      return [];
    }
    const [plain, fast] = rates;
    const gain = (kind) => median(fast[kind].map((rate, round) => rate / plain[kind][round]));
    const result = {
      title: declared.title,
      train: { plain: median(plain.train), fast: median(fast.train), gain: gain("train") },
      predict: { plain: median(plain.predict), fast: median(fast.predict), gain: gain("predict") },
    };
    results.push(result);
    log(
      `fast: ${result.title}: train ${short(result.train.fast)}, ${result.train.gain.toFixed(2)} ×, predict ${result.predict.gain.toFixed(2)} ×`,
    );
  }
  return results;
}
