import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { rolldown } from "rolldown";
import { createTrainer, Model } from "../../dist/node.js";
import { FIELDS, madeRows, slice, sum } from "../data.js";
import { median, short } from "../time.js";
import { javascript } from "./javascript.js";
import { OURS } from "./kinds.js";
import { nativePeers } from "./native.js";
import { onnxruntime } from "./onnx.js";
import { tensorflow } from "./tensorflow.js";

/*
 * The same model, the same weights, the same rows, one thread: others and ours in turn, several rounds in one run. Before
 * anybody is timed, its scores, or the loss of an epoch, are compared with ours.
 */

/**
 * @typedef {{ config: { model: "fm" | "ifm", K: number, A: number, KF: number, features: number, temperature: number },
 *   weights: () => Record<string, Float32Array>, data: import("../../dist/node.js").Dataset, batchSize: number, lr: number
 *   }} Task  what a peer is made of. weights: fresh copies of the tensors, by their names in our model file
 * @typedef {{ train?: () => number | Promise<number>, trainSeconds?: () => number | Promise<number>,
 *   predict?: () => Float32Array | Promise<Float32Array>, predictSeconds?: () => number | Promise<number>, reset?: () => void, dispose?: () => unknown }} Contestant  train: one epoch in the order of the rows, returns the mean loss.
 *   …Seconds: the same by a clock of its own
 */

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const LR = 0.05;
const BATCH = 2048;

/** What is compared. `rows`: of plain JavaScript in training; ours are more, or the clock would say little. */
const TASKS = [
  { title: "FM 8", model: "fm", K: 8, rows: 16_384 },
  { title: "FM 64", model: "fm", K: 64, rows: 16_384 },
  { title: "FM 256", model: "fm", K: 256, rows: 8192 },
  { title: "FM 256, tags", model: "fm", K: 256, rows: 16_384, data: "ml-tag", peers: ["plain JavaScript", "PyTorch"] },
  { title: "IFM [16, 16]", model: "ifm", A: 16, K: 16, rows: 4096 },
  { title: "IFM [8, 256]", model: "ifm", A: 8, K: 256, rows: 2048 },
  {
    title: "IFM [8, 256], tags",
    model: "ifm",
    A: 8,
    K: 256,
    rows: 8192,
    data: "ml-tag",
    peers: ["plain JavaScript", "PyTorch"],
  },
];

/** Milliseconds after which no further round of a task begins. */
const ROUNDS_MS = 15_000;

/** Everybody's calls of the first round take this long together. */
const WARM_SECONDS = 0.5;

/** Scores may differ by this much of the largest, the mean loss of an epoch by this much of itself: sums in other orders. */
const TOLERANCE = { scores: 1e-4, loss: 2e-3 };

/** Installs what package.json names, once. Returns what went wrong. */
function install() {
  const done = `${FOLDER}node_modules/.package-lock.json`;
  if (existsSync(done) && statSync(done).mtimeMs >= statSync(`${FOLDER}package-lock.json`).mtimeMs) return undefined;
  const args = ["ci", "--prefix", FOLDER, "--ignore-scripts", "--no-audit", "--no-fund"];
  const { status, stderr } = spawnSync("npm", args, {
    encoding: "utf8",
    timeout: 300_000,
    shell: process.platform === "win32",
  });
  return status === 0 ? undefined : `npm ci --prefix bench/peers failed: ${stderr.trim().split("\n").at(-1)}`;
}

/**
 * The bundle of tfjs-core for Node leaves the gradients out, and Node cannot import the files that hold them as they are.
 * They register themselves in a list that all copies of the core share.
 */
async function registerGradients() {
  const input = `${FOLDER}node_modules/@tensorflow/tfjs-core/dist/register_all_gradients.js`;
  const file = `${FOLDER}../../build/bench/tfjs-gradients.mjs`;
  const bundle = await rolldown({ input, platform: "node", logLevel: "silent" });
  await bundle.write({ file, format: "esm" });
  await bundle.close();
  await import(pathToFileURL(file).href);
}

/** Peers from npm, and what could not be had. */
async function npmPeers() {
  const failed = install();
  if (failed) return [{ missing: `${failed}; TensorFlow.js and onnxruntime: skipped` }];
  const require = createRequire(import.meta.url);
  const version = (name) => JSON.parse(readFileSync(`${FOLDER}node_modules/${name}/package.json`, "utf8")).version;
  const attempt = async (name, get) => {
    try {
      return await get();
    } catch (error) {
      return [{ missing: `${name} does not run here: ${String(error.message).split("\n")[0]}: skipped` }];
    }
  };
  const both = ["fm", "ifm"];
  return [
    ...(await attempt("TensorFlow.js", async () => {
      const tf = require("@tensorflow/tfjs-core");
      const wasm = require("@tensorflow/tfjs-backend-wasm");
      require("@tensorflow/tfjs-backend-cpu");
      await registerGradients();
      tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
      // No advice to install another backend, no checks of every tensor for NaN.
      tf.env().set("PROD", true);
      wasm.setWasmPaths(`${FOLDER}node_modules/@tensorflow/tfjs-backend-wasm/dist/`);
      const of = (backend, most, titles) => ({
        name: `TensorFlow.js ${backend}`,
        version: version("@tensorflow/tfjs-core"),
        models: both,
        titles,
        most,
        make: (task) => tensorflow(tf, backend, task),
      });
      // The cpu backend takes minutes for the largest.
      return [of("wasm", 512), of("cpu", 256, ["FM 64", "IFM [16, 16]"])];
    })),
    ...(await attempt("onnxruntime-web", async () => {
      const ort = await import("onnxruntime-web");
      const peer = { name: "onnxruntime-web", version: version("onnxruntime-web"), models: both };
      return [{ ...peer, make: (task) => onnxruntime(ort, task) }];
    })),
    ...(await attempt("onnxruntime-node", async () => {
      const ort = require("onnxruntime-node");
      const peer = { name: "onnxruntime-node", version: version("onnxruntime-node"), models: both };
      return [{ ...peer, make: (task) => onnxruntime(ort, task) }];
    })),
  ];
}

/** Ours, by the public API, as a contestant. */
async function ours({ config, data, batchSize, lr }, base) {
  const options = {
    train: { optimizer: "adagrad", lr, batchSize, reduction: "sum", shuffle: false, earlyStop: 0, epochs: 100_000 },
    data: { train: data },
    model: { model: config.model },
    init: base,
  };
  const model = await Model.load(base.toBytes());
  let trainer;
  let events;
  const next = async () => {
    for (;;) {
      const { value } = await events.next();
      if (value.event === "epoch") return value;
    }
  };
  const reset = async () => {
    await trainer?.dispose();
    trainer = await createTrainer(options);
    events = trainer[Symbol.asyncIterator]();
  };
  await reset();
  return {
    train: async () => (await next()).loss / data.rows,
    trainSeconds: async () => (await next()).seconds,
    predict: () => model.predict(data),
    reset,
    async dispose() {
      await events.return?.();
      await trainer.dispose();
      await model.dispose();
    },
  };
}

/** A model that has seen the rows once, so that scores are not all about 0. */
async function baseModel({ model, K, A = 0 }, data) {
  const trainer = await createTrainer({
    model: { model, factors: K, ...(A ? { attentionFactors: A } : {}), loss: "logistic", features: data.featureCount },
    train: { optimizer: "adagrad", lr: LR, batchSize: BATCH, epochs: 1 },
    data: { train: data },
  });
  for await (const _ of trainer);
  const base = trainer.model();
  await trainer.dispose();
  return base;
}

function scoresAgree(theirs, own) {
  const most = Math.max(...own.map(Math.abs));
  const worst = Math.max(...own.map((x, i) => Math.abs(x - theirs[i])));
  return worst <= TOLERANCE.scores * most ? undefined : `scores differ by ${worst} of ${most}`;
}

function lossesAgree(theirs, own) {
  const difference = Math.abs(theirs - own) / Math.abs(own);
  return difference <= TOLERANCE.loss ? undefined : `loss of an epoch is ${theirs}, ours ${own}`;
}

/** Calls that take a twentieth of a second or so; the first ones are left to the compiler. */
async function callsFor(call) {
  for (let calls = 1; ; calls *= 2) {
    const seconds = await timed(async () => {
      for (let i = 0; i < calls; i++) await call();
    });
    if (seconds > 0.03) return calls;
  }
}

async function timed(call) {
  const begin = performance.now();
  await call();
  return (performance.now() - begin) / 1000;
}

/**
 * One task: everybody is made, checked, then timed in turn.
 *
 * @returns for each kind and peer the rate of every round, or why there is none
 */
async function runTask(declared, peers, rounds, log) {
  const fields = FIELDS[declared.data ?? "frappe"];
  const all = madeRows(fields, 16 * BATCH);
  all.featureCount = sum(fields);
  const base = await baseModel(declared, all);
  const { factors: K, attentionFactors: A = 0, fieldFactors: KF = 0, features, temperature } = base.config;
  const config = { model: declared.model, K, A, KF, features, temperature };
  const weights = () => Object.fromEntries(base.tensors.map(({ name }) => [name, base.tensor(name)]));
  const task = (rows) => ({
    config,
    weights,
    data: slice(all, 0, rows),
    batchSize: Math.min(BATCH, rows),
    lr: LR,
  });

  /** Timed: name, kind, rows of a call, the call that gives seconds. */
  const entries = [];
  const contestants = [];
  const add = async (name, rows, make, { checkTrain = true } = {}) => {
    const entry = task(rows);
    const many = await make(entry);
    contestants.push(many);
    const one = many.predict && (await make(task(1)));
    if (one) contestants.push(one);
    const reference = name === OURS ? undefined : await ours(entry, base);
    const trouble = (kind, why) => {
      log(`${declared.title}: ${name}: ${kind} is left out: ${why}`);
      entries.push({ name, kind, why });
    };
    if (many.predict) {
      const why = reference && scoresAgree(await many.predict(), reference.predict());
      const whyOne = reference && scoresAgree(await one.predict(), reference.predict().subarray(0, 1));
      if (why) trouble("predict", why);
      else {
        const seconds = many.predictSeconds ?? (() => timed(() => many.predict()));
        entries.push({ name, kind: "predict", rows, seconds });
      }
      if (whyOne) trouble("one row", whyOne);
      else {
        const calls = await callsFor(() => one.predict());
        const seconds = async () => {
          if (!one.predictSeconds) {
            return timed(async () => {
              for (let i = 0; i < calls; i++) await one.predict();
            });
          }
          let all = 0;
          for (let i = 0; i < calls; i++) all += await one.predictSeconds();
          return all;
        };
        entries.push({ name, kind: "one row", rows: calls, seconds });
      }
    }
    if (many.train || many.trainSeconds) {
      const why = reference && checkTrain && lossesAgree(await many.train(), await reference.train());
      if (why) trouble("train", why);
      else {
        const seconds = many.trainSeconds ?? (() => timed(() => many.train()));
        entries.push({ name, kind: "train", rows, seconds, unchecked: !checkTrain });
      }
    }
    await reference?.dispose();
  };

  await add(OURS, declared.model === "fm" ? 16 * BATCH : 4 * BATCH, (entry) => ours(entry, base));
  for (const peer of peers) {
    if (declared.peers && !declared.peers.includes(peer.name)) continue;
    if (!peer.models.includes(declared.model) || (peer.titles && !peer.titles.includes(declared.title))) continue;
    const rows = Math.min(peer.most ?? declared.rows, declared.rows);
    try {
      await add(peer.name, rows, peer.make, { checkTrain: !peer.perRow });
    } catch (error) {
      log(`${declared.title}: ${peer.name}: left out: ${error.stack}`);
    }
  }

  const rates = entries.map(() => []);
  // The first round warms up, for as long as compilers may want, and is not counted. On a slow machine there are fewer, but not fewer than two.
  const began = performance.now();
  for (let round = 0; round <= rounds; round++) {
    if (round > 2 && performance.now() - began > ROUNDS_MS) break;
    for (const [i, entry] of entries.entries()) {
      if (!entry.seconds) continue;
      let seconds = await entry.seconds();
      if (round > 0) rates[i].push(entry.rows / seconds);
      else while (seconds < WARM_SECONDS) seconds += await entry.seconds();
    }
  }
  for (const contestant of contestants) await contestant.dispose?.();
  await base.dispose();

  return entries.map(({ name, kind, why, unchecked = false }, i) => {
    const own = rates[entries.findIndex((entry) => entry.name === OURS && entry.kind === kind)];
    const result = {
      title: declared.title,
      name,
      kind,
      rounds: rates[i].length,
      rate: median(rates[i]),
      // Of rounds, not of medians: what slows the machine down for a while slows both.
      ratio: median(rates[i].map((rate, round) => own[round] / rate)),
      unchecked,
      ...(why ? { why } : {}),
    };
    log(`${declared.title}: ${name}: ${kind} ${short(result.rate)}/s, ours ${result.ratio.toFixed(2)} ×`);
    return result;
  });
}

/**
 * @param {{ rounds?: number, quick?: boolean, log?: (line: string) => void }} settings
 */
export async function benchPeers({ rounds = 5, quick = false, log = () => {} } = {}) {
  const found = [
    {
      name: "plain JavaScript",
      version: process.version,
      models: ["fm", "ifm"],
      make: async (task) => javascript(task),
    },
    ...(await npmPeers()),
    ...nativePeers(),
  ];
  const missing = found.flatMap((peer) => peer.missing ?? []);
  for (const line of missing) log(`!! ${line}`);
  const peers = found.filter((peer) => !peer.missing);
  const results = [];
  const tasks = quick ? TASKS.filter(({ title }) => ["FM 64", "IFM [16, 16]"].includes(title)) : TASKS;
  for (const declared of tasks) results.push(...(await runTask(declared, peers, quick ? 2 : rounds, log)));
  return {
    tasks: tasks.map(({ title }) => title),
    peers: peers.map(({ name, version }) => ({ name, version })),
    missing,
    rounds: Math.min(...results.filter(({ why }) => !why).map((result) => result.rounds)),
    results,
  };
}
