import { createTrainer } from "../dist/node.js";
import { FIELDS, madeRows } from "./data.js";
import { describe } from "./models.js";
import { onnxruntime } from "./peers/onnx.js";
import { onnxruntimeWeb } from "./peers/onnx-web.js";
import { cpuMilliseconds, median } from "./time.js";

/*
 * A request of a recommender: one context of eight fields, 1,000 candidates of two. One thread; times of the processor. What
 * others have is a call that scores rows, to which each candidate is joined with the context.
 */

const CANDIDATES = 1000;
const CANDIDATE_FIELDS = 2;
const TOP = 10;
const WARM_MILLISECONDS = 300;

const TITLES = [
  { title: "FM 64", model: "fm", K: 64, peer: true },
  { title: "AFM [8, 64]", model: "afm", A: 8, K: 64 },
  { title: "IFM [8, 64]", model: "ifm", A: 8, K: 64, peer: true },
  { title: "INN [8, 64], hidden 16", model: "inn", A: 8, K: 64, hidden: [16] },
  { title: "DeepIFM [16, 16], hidden 100, 75, 50", model: "deepifm", A: 16, K: 16, hidden: [100, 75, 50] },
];

/** The rows from … to - 1 of a data set. */
function part(data, from, to) {
  const M = data.maxSlots;
  return {
    ...data,
    rows: to - from,
    labels: data.labels.subarray(from, to),
    rowPtr: data.rowPtr.slice(0, to - from + 1),
    features: data.features.subarray(from * M, to * M),
  };
}

/**
 * Milliseconds of a request in each way.
 *
 * @param {{ rounds: number, log: (line: string) => void }} options
 */
export async function benchRank({ rounds, log }) {
  // The candidate's fields first in the data, users and items; here they are the last.
  const fields = [...FIELDS.frappe.slice(CANDIDATE_FIELDS), ...FIELDS.frappe.slice(0, CANDIDATE_FIELDS)];
  const data = madeRows(fields, 4096);
  const M = data.maxSlots;
  const shared = M - CANDIDATE_FIELDS;
  const ort = await onnxruntimeWeb();
  const results = [];
  for (const { title, peer, ...each } of TITLES) {
    const { options, shape } = describe(each, data, 1024);
    const trainer = await createTrainer({ ...options, train: { ...options.train, epochs: 1 } });
    for await (const _event of trainer);
    const model = trainer.model();
    trainer.dispose();
    const joined = part({ ...data, features: data.features.slice() }, 0, CANDIDATES);
    const context = { features: joined.features.slice(0, shared) };
    const table = { count: CANDIDATES, features: new Uint32Array(CANDIDATES * CANDIDATE_FIELDS) };
    for (let r = 0; r < CANDIDATES; r++) {
      table.features.set(joined.features.subarray(r * M + shared, (r + 1) * M), r * CANDIDATE_FIELDS);
      joined.features.set(context.features, r * M);
    }
    const rows = Array.from({ length: CANDIDATES }, (_, r) => part(joined, r, r + 1));
    const ways = {
      rank: () => model.rank(context, table, { topK: TOP }),
      predict: () => model.predict(joined),
      single: () => rows.forEach((row) => void model.predict(row)),
    };
    let other;
    if (ort && peer) {
      const weights = () => Object.fromEntries(model.tensors.map(({ name }) => [name, model.tensor(name)]));
      const config = { ...shape, features: data.featureCount, temperature: model.config.temperature };
      other = await onnxruntime(ort, { config, weights, data: joined, batchSize: CANDIDATES });
      ways.onnx = () => other.predict();
    }
    const times = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
    // Until the engine's better code is there.
    for (const call of Object.values(ways)) {
      for (const begin = performance.now(); performance.now() - begin < WARM_MILLISECONDS; ) await call();
    }
    // In turn, so that whatever else the machine does falls on all of them.
    for (let round = 0; round < rounds; round++) {
      for (const [way, call] of Object.entries(ways)) {
        const begin = cpuMilliseconds();
        await call();
        times[way].push(cpuMilliseconds() - begin);
      }
    }
    const milliseconds = Object.fromEntries(Object.entries(times).map(([way, list]) => [way, median(list)]));
    results.push({ title, candidates: CANDIDATES, ...milliseconds });
    log(`rank: ${title} ${milliseconds.rank.toFixed(3)} ms, rows one by one ${milliseconds.single.toFixed(1)} ms`);
    await other?.dispose();
    model.dispose();
  }
  return results;
}
