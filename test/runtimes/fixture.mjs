// Trains every model that this version has, and returns SHA-256 of what came out: the same in every runtime. It asks for
// nothing but the package and what the Web has; everything here is integer arithmetic or the package's own, so that a
// difference is the package's.

const STEPS = 50;
/** Several chunks a batch (assembly/step.ts), the last of them smaller, so that threads share the work. */
const BATCH = 130;
const ROWS = 650;
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

async function sha256(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes of arrays, one behind the other. */
function joined(arrays) {
  const out = new Uint8Array(arrays.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const { buffer, byteOffset, byteLength } of arrays) {
    out.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return out;
}

async function runOne({ createTrainer, Model }, kind, data, options, threads) {
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
    threads,
  });
  if (trainer.threads !== threads) throw new Error(`expected ${threads} threads, got ${trainer.threads}`);
  const losses = [];
  for await (const event of trainer) if (event.event === "epoch") losses.push(event.loss);
  const trained = trainer.model();
  // Predicts what a user would after loading the file.
  const model = await Model.load(trained.toBytes(), { threads });
  const result = {
    weights: await sha256(joined(trained.tensors.map(({ name }) => trained.tensor(name)))),
    predictions: await sha256(joined([model.predict(data)])),
    losses: await sha256(joined([Float64Array.from(losses)])),
  };
  for (const used of [model, trained, trainer]) used.dispose();
  return result;
}

/**
 * @param api what `import * as api from "ifm-wasm"` gives
 * @param threads how many compute; it is an error when there are fewer
 * @returns for each run the hashes of its weights, of the predictions and of the losses
 */
export async function runFixture(api, threads = 1) {
  const data = await api.readLibfm(rowsAsText());
  const results = {};
  for (const kind of KINDS) {
    for (const options of [...RUNS, ...(MORE[kind] ?? [])]) {
      results[`${kind} ${options.name ?? options.optimizer}`] = await runOne(api, kind, data, options, threads);
    }
  }
  return results;
}
