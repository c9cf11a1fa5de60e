import { readFileSync } from "node:fs";
import { createTrainer, Model } from "../dist/node.js";
import { madeRows } from "./data.js";
import { describe, MODELS, rowsFor, SHAPES } from "./models.js";
import { median, secondsOf, short } from "./time.js";
import { otherNodes, resultBy } from "./versions.js";

/*
 * What relaxed SIMD is worth: the same model with both modules, in turn, one thread, also where `--fast` would not take it.
 * A ratio is the median over the rounds.
 */

const ROUNDS = 5;
/** Of training in a round; of prediction half of that. */
const SECONDS = 0.1;
/** One of each kind, and FM in three sizes. */
const TITLES = [
  ...["FM 8", "FM 64", "FM 256", "AFM [8, 64]", "IFM [16, 16]", "IFM [8, 64]", "IFM [8, 256]"],
  ...["INN [8, 64], hidden 16", "DeepIFM [16, 16], hidden 100, 75, 50"],
];

const relaxed = () => readFileSync(new URL("../wasm/ifm-fast.wasm", import.meta.url));

/** A trainer and a model of one module. `epoch`: rows a second of one. */
async function contestant(options, data, compute) {
  const trainer = await createTrainer({ ...options, train: { ...options.train, epochs: 100_000 }, ...compute });
  const events = trainer[Symbol.asyncIterator]();
  const epoch = async () => {
    for (;;) {
      const { value } = await events.next();
      if (value.event === "epoch") return value.rowsPerSecond;
    }
  };
  await epoch();
  const model = await Model.load(trainer.model().toBytes(), compute);
  return {
    epoch,
    predict: async (seconds) => data.rows / (await secondsOf(() => model.predict(data), seconds, 1)),
    async dispose() {
      await events.return?.();
      await trainer.dispose();
      await model.dispose();
    },
  };
}

/**
 * Measured by this version of Node or, if it has no relaxed SIMD, by another that is found.
 *
 * @param {{ quick?: boolean, log?: (line: string) => void }} settings
 * @returns one result a model, and the version; no results when no version has relaxed SIMD
 */
export async function benchFast({ quick = false, log = () => {} } = {}) {
  // Node 20 has it behind a flag.
  if (!WebAssembly.validate(relaxed())) {
    const [other] = otherNodes();
    if (other !== undefined) return resultBy(other, "fast-child.js", [String(quick)]);
    log("fast: no version of Node with relaxed SIMD found (npm ci --prefix test/runtimes)");
    return { version: process.version, results: [] };
  }
  const results = [];
  for (const shape of quick ? SHAPES.slice(0, 1) : SHAPES) {
    for (const declared of MODELS) {
      if (!TITLES.includes(declared.title) || (quick && declared.title !== "FM 64")) continue;
      results.push(await gainOf(declared, shape));
      const { title, data, train, predict } = results.at(-1);
      const gains = `train ${short(train.fast)}, ${train.gain.toFixed(2)} ×, predict ${predict.gain.toFixed(2)} ×`;
      log(`fast: ${data}: ${title}: ${gains}`);
    }
  }
  return { version: process.version, results };
}

/** The same model with both modules, round by round. */
async function gainOf(declared, { shape, fields, batchSize }) {
  const all = madeRows(fields, 16 * batchSize);
  const rows = Math.min(all.rows, rowsFor(describe(declared, all, batchSize).shape, batchSize, 1e9));
  const data = madeRows(fields, rows);
  const { options } = describe(declared, data, batchSize);
  const both = [await contestant(options, data, {}), await contestant(options, data, { fast: true, wasm: relaxed() })];
  const rates = both.map(() => ({ train: [], predict: [] }));
  // The first round warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, one] of both.entries()) {
      const epochs = [];
      for (const begin = performance.now(); epochs.length === 0 || performance.now() - begin < 1000 * SECONDS; )
        epochs.push(await one.epoch());
      const predict = await one.predict(SECONDS / 2);
      if (round === 0) continue;
      rates[i].train.push(median(epochs));
      rates[i].predict.push(predict);
    }
  }
  for (const one of both) await one.dispose();
  const [plain, fast] = rates;
  const gain = (kind) => median(fast[kind].map((rate, round) => rate / plain[kind][round]));
  return {
    title: declared.title,
    data: shape,
    train: { plain: median(plain.train), fast: median(fast.train), gain: gain("train") },
    predict: { plain: median(plain.predict), fast: median(fast.predict), gain: gain("predict") },
  };
}
