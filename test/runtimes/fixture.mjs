// Trains every model that this version has, and prints SHA-256 of what came out as one JSON object on stdout.
//
//   NODE test/runtimes/fixture.mjs      after npm run build
//
// The same hashes must come out under every runtime. Everything here is integer arithmetic or the package's own, so that
// a difference is the package's.

import { createHash } from "node:crypto";
import { createTrainer, readLibfm } from "../../dist/node.js";

const STEPS = 50;
const BATCH = 32;
const ROWS = 320;
const SLOTS = 6;
const FEATURES_PER_SLOT = 11;

const KINDS = ["fm", "afm", "ifm", "inn", "deepifm"];

/** One run for each optimizer; between them, most options that take another way through the kernels. */
const RUNS = [
  { optimizer: "sgd", lr: 0.01, activation: "relu", temperatureOn: "logits", loss: "squared", factors: 16 },
  { optimizer: "momentum", lr: 0.002, activation: "tanh", temperatureOn: "projection", loss: "squared", factors: 17 },
  { optimizer: "adagrad", lr: 0.05, activation: "sigmoid", temperatureOn: "logits", loss: "logistic", factors: 5 },
  { optimizer: "adam", lr: 0.01, activation: "identity", temperatureOn: "logits", loss: "logistic", factors: 64 },
  { optimizer: "ftrl", lr: 0.05, activation: "relu", temperatureOn: "projection", loss: "squared", factors: 3 },
];

const BPR = { ...RUNS[3], loss: "bpr" };

/** What only some models have, or one says for all. */
const MORE = {
  fm: [
    { ...RUNS[2], name: "batch norm", batchNorm: true },
    { ...BPR, name: "bpr, listed", bpr: { groupBy: [1] } },
  ],
  ifm: [{ ...RUNS[2], name: "sampled pairs", samplePairs: 0.4, sampleAfter: 10 }],
  deepifm: [
    { ...RUNS[2], name: "sampled pairs", samplePairs: 0.4, sampleAfter: 10 },
    { ...BPR, name: "bpr, drawn", bpr: { groupBy: [1], itemFields: [0, 2], negatives: 2 } },
  ],
};

/** Rows whose features recur, with values other than 1 and both labels; a linear congruential generator decides. */
function rowsAsText() {
  let state = 1;
  const next = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) % below;
  };
  const lines = [];
  for (let r = 0; r < ROWS; r++) {
    const slots = [];
    for (let s = 0; s < SLOTS; s++) {
      const id = s * FEATURES_PER_SLOT + next(FEATURES_PER_SLOT);
      slots.push(`${id}:${s === 0 ? `0.${next(1000)}` : 1}`);
    }
    lines.push(`${next(2) === 0 ? -1 : 1} ${slots.join(" ")}`);
  }
  return `${lines.join("\n")}\n`;
}

const sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};
const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

async function run(kind, data, options) {
  const { optimizer, lr, samplePairs, sampleAfter, bpr, name: _name, ...shape } = options;
  const trainer = await createTrainer({
    model: { model: kind, attentionFactors: 6, fieldFactors: 7, ...shape },
    train: {
      optimizer,
      lr,
      samplePairs,
      sampleAfter,
      bpr,
      batchSize: BATCH,
      epochs: (STEPS * BATCH) / ROWS,
      earlyStop: 0,
      keep: [0.9, 0.8],
      l2: { embedding: 0.001, linear: 0.002, attention: 0.003, field: 0.004, hidden: 0.005 },
      clipNorm: optimizer === "sgd" ? 1 : 0,
      adam: { exact: true },
      seed: 7,
    },
    data: { train: data },
  });
  const losses = [];
  for await (const event of trainer) if (event.event === "epoch") losses.push(event.loss);
  const model = trainer.model();
  const result = {
    model: sha256(model.toBytes()),
    predictions: sha256(bytesOf(model.predict(data))),
    losses: sha256(bytesOf(Float64Array.from(losses))),
    lastLoss: losses.at(-1),
  };
  model.dispose();
  trainer.dispose();
  return result;
}

const data = await readLibfm(rowsAsText());
const results = {};
for (const kind of KINDS) {
  for (const options of [...RUNS, ...(MORE[kind] ?? [])]) {
    results[`${kind} ${options.name ?? options.optimizer}`] = await run(kind, data, options);
  }
}
console.log(JSON.stringify(results, null, 2));
