// Coverage-guided fuzzing of everything that reads what strangers may have written.
//
//   npm run fuzz                                   an hour, shared by all targets
//   npm run fuzz -- --seconds 60 --target model    a minute of one
//   npm run fuzz -- --write                        also writes the figures into docs/RELIABILITY.md
//
// Inputs that went a new way are kept in test/fuzz/corpus with --keep; what crashed or hung is written to
// build/fuzz-findings, and the exit code is 1.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { idOf } from "./engine.js";
import { buildTarget } from "./instrument.js";

const HERE = fileURLToPath(new URL("./", import.meta.url));
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FINDINGS = join(ROOT, "build/fuzz-findings");

/** An input that takes longer is a hang. */
const HANG_SECONDS = 10;
const MAX_INPUT = 2 ** 20;

export const TARGETS = readdirSync(join(HERE, "targets"))
  .map((file) => file.replace(/\.js$/, ""))
  .sort();

const filesIn = (folder) => {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
};

/** Inputs in the repository: attacks made by hand, and what earlier runs have kept. */
export function inputsOf(target) {
  return [...filesIn(join(ROOT, "test/attacks", target)), ...filesIn(join(HERE, "corpus", target))].map((file) => ({
    file,
    bytes: new Uint8Array(readFileSync(file)),
  }));
}

/**
 * Fuzzes one target in a worker.
 *
 * @param {string} name
 * @param {{ seconds: number, executions?: number, seed?: number, found?: (kind: string, input: Uint8Array, problem?: string) => void }} settings
 */
export async function fuzzTarget(name, { seconds, executions = 2 ** 31 - 1, seed = 1, found = () => {} }) {
  const bundle = await buildTarget(name);
  const shared = new SharedArrayBuffer(8 + MAX_INPUT);
  const clock = new Int32Array(shared, 0, 2);
  const corpus = inputsOf(name).map(({ bytes }) => bytes);
  const began = performance.now();
  const worker = new Worker(new URL("engine.js", import.meta.url), {
    workerData: { fuzz: { bundle, corpus, seed, seconds, executions, shared } },
    // Enough for every target; what grows beyond it is a finding.
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });
  const result = await new Promise((resolve, reject) => {
    let last = -1;
    let since = performance.now();
    const stop = (kind, problem) => {
      found(kind, new Uint8Array(shared.slice(8, 8 + clock[1])), problem);
      resolve({ executions: clock[0], corpus: 0, covered: 0, branches: 0, crashes: 0, mostBytes: 0, [`${kind}s`]: 1 });
    };
    const watch = setInterval(() => {
      if (clock[0] !== last) {
        last = clock[0];
        since = performance.now();
      } else if (last > 0 && performance.now() - since > 1000 * HANG_SECONDS) {
        stop("hang", `no answer after ${HANG_SECONDS} s`);
        void worker.terminate();
      }
    }, 500);
    worker.on("message", ({ kind, input, problem, result }) => {
      if (kind === "end") resolve(result);
      else found(kind, input, problem);
    });
    worker.once("error", (error) => {
      if (error.code === "ERR_WORKER_OUT_OF_MEMORY") stop("crash", "more than 512 MB of objects");
      else reject(error);
    });
    worker.once("exit", () => {
      clearInterval(watch);
      reject(new Error(`${name}: the worker ended early`));
    });
  });
  await worker.terminate();
  return { name, hangs: 0, ...result, seconds: (performance.now() - began) / 1000 };
}

function table(results) {
  const count = (n) => n.toLocaleString("en-US");
  const rows = results.map(({ name, executions, seconds, covered, branches, corpus, crashes, hangs, mostBytes }) => [
    name,
    count(executions),
    count(Math.round(executions / seconds)),
    `${covered} of ${branches}`,
    String(corpus),
    String(crashes),
    String(hangs),
    `${(mostBytes / 1e6).toFixed(1)} MB`,
  ]);
  const header = [
    "target",
    "executions",
    "a second",
    "branches taken",
    "inputs kept",
    "crashes",
    "hangs",
    "most memory of an input",
  ];
  return [header, ["---", ...header.slice(1).map(() => "---:")], ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}

async function main() {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "3600" },
      target: { type: "string", multiple: true, default: TARGETS },
      seed: { type: "string", default: "1" },
      keep: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
    },
  });
  const save = (folder, name, input) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, name), input);
  };
  const results = [];
  for (const name of values.target) {
    const result = await fuzzTarget(name, {
      seconds: Number(values.seconds) / values.target.length,
      seed: Number(values.seed),
      found(kind, input, problem) {
        if (kind === "new") {
          if (values.keep) save(join(HERE, "corpus", name), idOf(input), input);
          return;
        }
        save(FINDINGS, `${name}-${kind}-${idOf(input)}`, input);
        console.error(`${name}: ${kind} by build/fuzz-findings/${name}-${kind}-${idOf(input)}\n${problem}\n`);
      },
    });
    results.push(result);
    console.error(`${name}: ${result.executions} executions, ${result.covered} of ${result.branches} branches`);
  }
  console.log(table(results));
  if (values.write) {
    const file = join(ROOT, "docs/RELIABILITY.md");
    const text = readFileSync(file, "utf8");
    const mark = /(<!-- npm run fuzz -->\n)[\s\S]*?(\n<!-- end of fuzz -->)/;
    if (!mark.test(text)) throw new Error(`${file}: no place for the figures`);
    writeFileSync(
      file,
      text.replace(mark, (_, before, after) => `${before}\n${table(results)}\n${after}`),
    );
  }
  if (results.some(({ crashes, hangs }) => crashes + hangs > 0)) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
