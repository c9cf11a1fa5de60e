#!/usr/bin/env node
// Long runs: does anything grow?
//
//   npm run soak                     a million steps, predictions and rankings, ten thousand models and trainers
//   npm run soak -- --share 0.01     a hundredth of it
//   npm run soak -- --only models    of the runs those with this in their name
//   npm run soak -- --write          also writes the figures into docs/RELIABILITY.md
//
// After a tenth of a run, and at its end, garbage is collected and looked at what is left. Exit code 1 when it has grown.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createTrainer, Model, readLibfm } from "../dist/node.js";

/** Growth that is none: what engines keep of types, code and feedback. */
const MOST_GROWTH = { heap: 1e6, external: 1e6, wasm: 0, threads: 0 };

const ROWS = 1280;
const BATCH = 16;
/** Two chunks: something to share. */
const SHARED_BATCH = 128;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

/** Linear memories that somebody may still hold. */
const memories = new Set();
WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
  construct(type, args, newTarget) {
    const memory = Reflect.construct(type, args, newTarget);
    memories.add(new WeakRef(memory));
    return memory;
  },
});

function wasmBytes() {
  let bytes = 0;
  for (const reference of memories) {
    const memory = reference.deref();
    if (memory === undefined) memories.delete(reference);
    else bytes += memory.buffer.byteLength;
  }
  return bytes;
}

/** Threads of this process, where the system tells. */
function threadCount() {
  try {
    return readdirSync("/proc/self/task").length;
  } catch {
    return 0;
  }
}

/** What is left when garbage is collected. Threads that were told to end need a moment. */
async function left() {
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    collect();
  }
  // Before the heap is looked at: forgets the memories that are gone, which are on it.
  const wasm = wasmBytes();
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed, external, wasm, threads: threadCount(), rss };
}

/** Rows of three fields. */
function rows() {
  const text = Array.from({ length: ROWS }, (_, r) => {
    return `${r % 3 === 0 ? 1 : -1} ${r % 7}:1 ${7 + (r % 11)}:1 ${18 + (r % 13)}:1\n`;
  });
  return readLibfm(text.join(""));
}

/** Lets training run to its end, and `middle` have a look after a tenth of the epochs. */
async function train(options, steps, middle) {
  const { batchSize = BATCH } = options.train ?? {};
  const epochs = Math.max(10, Math.ceil(steps / (ROWS / batchSize)));
  const train = { epochs, earlyStop: 0, lr: 0.001, ...options.train, batchSize };
  const trainer = await createTrainer({ ...options, train });
  for await (const event of trainer) if (event.epoch === Math.ceil(epochs / 10)) await middle();
  return trainer;
}

/** Does something many times. Every so often the event loop has its turn, as it has in a server. */
async function repeat(times, middle, action) {
  for (let i = 1; i <= times; i++) {
    const result = action(i);
    if (result instanceof Promise) await result;
    if (i % 1000 === 0) await turn();
    if (i === Math.ceil(times / 10)) await middle();
  }
}

/**
 * All runs.
 *
 * @param {number} share of a million steps, predictions and rankings, and of ten thousand models
 * @param {string} only in the names of those that are wanted
 * @returns {AsyncGenerator<{ what: string, times: number, seconds: number, from: object, to: object, grown: string[] }>}
 */
export async function* soak(share, only = "") {
  const data = { train: await rows() };
  const many = Math.round(1e6 * share);
  const models = Math.round(1e4 * share);
  const fm = { model: { model: "fm", factors: 8 }, data };
  const ifm = { model: { model: "ifm", factors: 8, attentionFactors: 4, fieldFactors: 4 }, data };

  const first = await train(ifm, 10, async () => {});
  const model = first.model();
  first.dispose();
  const bytes = model.toBytes();
  const row = await readLibfm("1 0:1 8:1 20:1\n");
  const candidates = { count: 10, features: Array.from({ length: 10 }, (_, i) => 18 + i) };

  const runs = [
    [`steps of FM, ${BATCH} rows each`, many, (middle) => train(fm, many, middle)],
    [
      `steps of IFM with dropout, ${BATCH} rows each`,
      many,
      (middle) => train({ ...ifm, train: { keep: [0.9, 0.9] } }, many, middle),
    ],
    [
      `steps of IFM on 2 threads, ${SHARED_BATCH} rows each`,
      many / 10,
      (middle) => train({ ...ifm, threads: 2, train: { batchSize: SHARED_BATCH } }, many / 10, middle),
    ],
    ["`predict` of a row", many, (middle) => repeat(many, middle, () => model.predict(row))],
    [
      "`rank` of 10 candidates",
      many,
      (middle) => repeat(many, middle, () => model.rank({ features: [1, 9] }, candidates, { topK: 3 })),
    ],
    ["`explain` of a row", models, (middle) => repeat(models, middle, () => model.explain({ features: [1, 9, 20] }))],
    [
      "models loaded, used, disposed of",
      models,
      (middle) =>
        repeat(models, middle, async () => {
          const loaded = await Model.load(bytes);
          loaded.predict(row);
          loaded.dispose();
        }),
    ],
    [
      "models loaded and forgotten",
      models,
      (middle) =>
        repeat(models, middle, async () => {
          (await Model.load(bytes)).predict(row);
        }),
    ],
    [
      "trainers made, run for an epoch, disposed of",
      models,
      (middle) =>
        repeat(models, middle, async () => {
          const trainer = await createTrainer({ ...fm, train: { epochs: 1 } });
          for await (const _ of trainer);
          trainer.dispose();
        }),
    ],
    [
      "trainers with 2 threads",
      Math.ceil(models / 10),
      (middle) =>
        repeat(Math.ceil(models / 10), middle, async () => {
          const trainer = await createTrainer({ ...ifm, threads: 2, train: { epochs: 1, batchSize: SHARED_BATCH } });
          for await (const _ of trainer);
          trainer.dispose();
        }),
    ],
  ];
  for (const [what, times, run] of runs.filter(([what]) => what.includes(only))) {
    let from;
    const began = performance.now();
    const trainer = await run(async () => {
      from = await left();
    });
    // A trainer is looked at while it holds its memory.
    const to = await left();
    trainer?.dispose();
    const seconds = (performance.now() - began) / 1000;
    const grown = Object.keys(MOST_GROWTH).filter((key) => to[key] - from[key] > MOST_GROWTH[key]);
    yield { what, times, seconds, from, to, grown };
  }
  model.dispose();
}

const MB = (bytes) => (bytes / 1e6).toFixed(1);

export function table(results) {
  const header = ["", "times", "seconds", "WebAssembly, MB", "JS heap, MB", "external, MB", "threads", "resident, MB"];
  const cells = results.map(({ what, times, seconds, from, to }) => [
    what,
    times.toLocaleString("en-US"),
    seconds.toFixed(seconds < 10 ? 1 : 0),
    ...["wasm", "heap", "external"].map((key) => `${MB(from[key])} → ${MB(to[key])}`),
    `${from.threads} → ${to.threads}`,
    `${MB(from.rss)} → ${MB(to.rss)}`,
  ]);
  return [header, ["---", ...header.slice(1).map(() => "---:")], ...cells]
    .map((line) => `| ${line.join(" | ")} |`)
    .join("\n");
}

async function main() {
  const { values } = parseArgs({
    options: {
      share: { type: "string", default: "1" },
      only: { type: "string", default: "" },
      write: { type: "boolean", default: false },
    },
  });
  if (values.write && values.only !== "") throw new Error("--write: expected all runs, not --only some");
  const results = [];
  for await (const result of soak(Number(values.share), values.only)) {
    results.push(result);
    const { what, seconds, grown } = result;
    console.error(`${what}: ${seconds.toFixed(0)} s${grown.length > 0 ? `, GROWN: ${grown.join(", ")}` : ""}`);
  }
  console.log(table(results));
  if (values.write) {
    const file = fileURLToPath(new URL("../docs/RELIABILITY.md", import.meta.url));
    const text = readFileSync(file, "utf8");
    const mark = /(<!-- npm run soak -->\n)[\s\S]*?(\n<!-- end of soak -->)/;
    if (!mark.test(text)) throw new Error(`${file}: no place for the figures`);
    writeFileSync(
      file,
      text.replace(mark, (_, before, after) => `${before}\n${table(results)}\n${after}`),
    );
  }
  if (results.some(({ grown }) => grown.length > 0)) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
