#!/usr/bin/env node
// Puts small faults into kernels and readers, one at a time, and counts how many the tests notice.
//
//   npm run mutation                                  10 faults of each file: about half an hour on two cores
//   npm run mutation -- --each 40 --file src/data     more of some
//   npm run mutation -- --minutes 20                  begins no other after twenty minutes
//   npm run mutation -- --write                       also writes the figures into docs/RELIABILITY.md
//
// Faults are drawn by a seed, so that a run can be repeated. What survives is listed with its line: either a test is
// missing, or the fault changes nothing that can be seen (a block size, a prefetch). Works on copies in build/mutation.

import { execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import asc from "assemblyscript/asc";
import { mutantsOf } from "./operators.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const WORK = join(ROOT, "build/mutation");
/** Times what a set of tests takes without a fault, and seconds on top: a fault that makes a loop endless is noticed by it. */
const TIMEOUT = { times: 4, seconds: 20 };

const { values } = parseArgs({
  options: {
    each: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    file: { type: "string", multiple: true, default: [] },
    workers: { type: "string", default: String(availableParallelism()) },
    minutes: { type: "string", default: "Infinity" },
    write: { type: "boolean", default: false },
  },
});

/** Tests of what the kernels make of whole batches, the quickest first. */
const BATCHES = [
  ["test/models/steps.test.ts", "test/models/laws.test.ts", "test/models/golden.test.ts"],
  ["test/models", "test/model/serving.test.ts", "test/model/quantize.test.ts", "test/train/pinned.test.ts"],
];
const MODULES = ["release", "debug", "predict"];

/**
 * For each file: builds and tests in stages, the quickest first. A fault that one stage notices needs no other.
 *
 * @returns {{ builds: string[], tests: string[] }[]}
 */
function stagesOf(file) {
  const name = basename(file, ".ts");
  const batches = (tests = BATCHES) => tests.map((stage, i) => ({ builds: i === 0 ? MODULES : [], tests: stage }));
  const own = `test/kernels/${name}.test.ts`;
  if (/^assembly\/(kernels\/|math|random)/.test(file) && existsSync(join(ROOT, own))) {
    return [{ builds: ["kernels"], tests: [own] }, ...batches()];
  }
  if (file === "assembly/simd.ts") return [{ builds: ["kernels"], tests: ["test/kernels"] }, ...batches()];
  if (file === "assembly/sha256.ts") return batches([["test/model/integrity.test.ts"]]);
  if (/^assembly\/(serve|predict|models\/(rank|explain))/.test(file))
    return batches([["test/model/serving.test.ts"], ...BATCHES]);
  if (file.startsWith("assembly/"))
    return batches([
      ...BATCHES,
      ["test/train/reproducible.test.ts", "test/wasm/abi.test.ts", "test/wasm/bounds.test.ts"],
    ]);
  if (file.startsWith("src/data/")) {
    return [
      { builds: [], tests: [`test/data/${name.replace("-errors", "")}.test.ts`] },
      { builds: [], tests: ["test/data"] },
    ];
  }
  if (file.startsWith("src/train/")) return [{ builds: [], tests: ["test/train/checkpoint"] }];
  return [{ builds: [], tests: ["test/model", "test/models/golden.test.ts"] }];
}

const READERS = ["libfm", "libfm-errors", "gzip", "cache", "check", "groups", "dataset"].map(
  (name) => `src/data/${name}.ts`,
);
const FILES = git("ls-files", "assembly/*.ts", "assembly/kernels/*.ts", "assembly/models/*.ts")
  .filter((file) => !/\/(index|abi|bounds|math-testing)\.ts$/.test(file))
  .concat(READERS, "src/model/safetensors.ts", "src/model/format.ts", "src/train/checkpoint-format.ts");

const BUILDS = {
  release: ["assembly/index.ts"],
  predict: ["assembly/predict.ts"],
  debug: ["assembly/index.ts", "assembly/serve.ts"],
  kernels: ["assembly/kernels/index.ts"],
};

const OUTPUTS = [
  "wasm/ifm.wasm",
  "wasm/ifm-predict.wasm",
  "wasm/ifm-threads.wasm",
  "wasm/ifm-fast.wasm",
  "build/debug.wasm",
  "build/debug-threads.wasm",
  "build/kernels.wasm",
];

function git(...args) {
  return execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).split("\n").filter(Boolean);
}

/** Some of the list, in the order in which the seed draws them: fewer are a part of more. */
function draw(list, count, seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const chosen = list.map((item) => ({ item, key: next() })).sort((a, b) => a.key - b.key);
  return chosen.slice(0, count).map(({ item }) => item);
}

/** Process groups of the tests that are running: they end with this program. */
const running = new Set();
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    for (const group of running) process.kill(-group, "SIGKILL");
    process.exit(1);
  });
}

/** A copy of the project that faults are put into. */
class Copy {
  constructor(index) {
    this.folder = join(WORK, `copy-${index}`);
    rmSync(this.folder, { recursive: true, force: true });
    for (const file of git("ls-files", "--cached", "--others", "--exclude-standard")) {
      if (/^(docs|bench|demo|\.)/.test(file) && !file.startsWith(".gitignore")) continue;
      cpSync(join(ROOT, file), join(this.folder, file));
    }
    for (const built of OUTPUTS) cpSync(join(ROOT, built), join(this.folder, built));
    // Bits do not depend on the optimizer, the time of a build does.
    const config = JSON.parse(readFileSync(join(this.folder, "asconfig.json"), "utf8"));
    Object.assign(config.options, { optimizeLevel: 0, converge: false });
    writeFileSync(join(this.folder, "asconfig.json"), JSON.stringify(config));
    symlinkSync(join(ROOT, "node_modules"), join(this.folder, "node_modules"));
  }

  /** Seconds of each set of tests without a fault, measured in a copy that has none. */
  static #baselines = new Map();
  static #sound = new Copy("sound");

  /** @returns {Promise<"passed" | "failed" | "timed out">} */
  #run(program, args, seconds) {
    return new Promise((resolve) => {
      const child = spawn(process.execPath, [join(ROOT, "node_modules", program), ...args], {
        cwd: this.folder,
        stdio: "ignore",
        detached: true,
      });
      running.add(child.pid);
      let outcome;
      const timer = setTimeout(() => {
        outcome = "timed out";
        process.kill(-child.pid, "SIGKILL");
      }, 1000 * seconds);
      child.once("exit", (code) => {
        clearTimeout(timer);
        running.delete(child.pid);
        resolve(outcome ?? (code === 0 ? "passed" : "failed"));
      });
    });
  }

  /** Compiles in this process: the second time takes a third of the first. */
  async #build(target) {
    const { error } = await asc.main([...BUILDS[target], "--target", target, "--baseDir", this.folder], {
      stderr: asc.createMemoryStream(),
    });
    return error === null;
  }

  async #test(tests, seconds) {
    // Builds that no test of this stage looks at are not made again, but must not look old.
    const now = new Date();
    for (const built of OUTPUTS) utimesSync(join(this.folder, built), now, now);
    return this.#run(
      "vitest/vitest.mjs",
      ["run", "--project", "unit", "--bail", "1", "--maxWorkers", "1", ...tests],
      seconds,
    );
  }

  /** How long tests may take; they must pass without a fault. */
  static async #limitOf(tests) {
    const key = tests.join(" ");
    const measure = async () => {
      const began = performance.now();
      if ((await Copy.#sound.#test(tests, 900)) !== "passed") throw new Error(`${key}: does not pass without a fault`);
      return (performance.now() - began) / 1000;
    };
    if (!Copy.#baselines.has(key)) Copy.#baselines.set(key, measure());
    return TIMEOUT.times * (await Copy.#baselines.get(key)) + TIMEOUT.seconds;
  }

  /** @returns {Promise<"killed" | "timed out" | "survived" | "invalid">} invalid: the compiler refuses it */
  async try(file, mutant) {
    const path = join(this.folder, file);
    const original = readFileSync(path);
    writeFileSync(path, mutant);
    try {
      for (const { builds, tests } of stagesOf(file)) {
        const limit = await Copy.#limitOf(tests);
        for (const build of builds) {
          if (!(await this.#build(build))) return "invalid";
        }
        const outcome = await this.#test(tests, limit);
        if (outcome !== "passed") return outcome === "failed" ? "killed" : outcome;
      }
      return "survived";
    } finally {
      writeFileSync(path, original);
      // Old builds of a fault must not be taken for fresh ones.
      for (const built of OUTPUTS) cpSync(join(ROOT, built), join(this.folder, built));
    }
  }
}

const wanted = FILES.filter((file) => values.file.length === 0 || values.file.some((part) => file.startsWith(part)));
// A fault of each file, then a second of each: a run that ends early has looked at all files.
const queue = wanted
  .flatMap((file) => {
    const mutants = mutantsOf(readFileSync(join(ROOT, file), "utf8"));
    return draw(mutants, Number(values.each), Number(values.seed)).map((mutant, round) => ({ file, mutant, round }));
  })
  .sort((a, b) => a.round - b.round);

mkdirSync(WORK, { recursive: true });
const log = join(WORK, "results.jsonl");
rmSync(log, { force: true });
const results = [];
const total = queue.length;
const began = performance.now();

async function work(index) {
  const copy = new Copy(index);
  const isTime = () => performance.now() - began < 60_000 * Number(values.minutes);
  for (let next = queue.shift(); next !== undefined && isTime(); next = queue.shift()) {
    const { file, mutant } = next;
    const { code, ...what } = mutant;
    const outcome = await copy.try(file, code);
    results.push({ file, outcome, ...what });
    appendFileSync(log, `${JSON.stringify(results.at(-1))}\n`);
    const minutes = (performance.now() - began) / 60_000;
    const left = (minutes / results.length) * (total - results.length);
    console.error(
      `${results.length}/${total} ${outcome.padEnd(9)} ${file}:${what.line} ${what.was} → ${what.is} (${left.toFixed(0)} min left)`,
    );
  }
}
await Promise.all(Array.from({ length: Number(values.workers) }, (_, index) => work(index)));

const counted = (list, outcome) => list.filter((result) => result.outcome === outcome).length;
const score = (list) => {
  const noticed = counted(list, "killed") + counted(list, "timed out");
  const all = noticed + counted(list, "survived");
  return all === 0 ? "–" : `${((100 * noticed) / all).toFixed(0)} %`;
};
const folders = [...new Set(results.map(({ file }) => dirname(file)))].sort();
const rows = [
  ...folders.map((folder) => [folder, results.filter(({ file }) => dirname(file) === folder)]),
  ["all", results],
];
const table = [
  "| | faults | noticed by a test | by its time | survived | score |",
  "| --- | ---: | ---: | ---: | ---: | ---: |",
  ...rows.map(
    ([name, list]) =>
      `| ${name} | ${list.length - counted(list, "invalid")} | ${counted(list, "killed")} | ${counted(list, "timed out")} | ${counted(list, "survived")} | ${score(list)} |`,
  ),
].join("\n");
const survivors = results
  .filter(({ outcome }) => outcome === "survived")
  .sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1))
  .map(({ file, line, was, is }) => `${file}:${line}  ${was.split("\n")[0]} → ${is.split("\n")[0]}`);
console.log(`${table}\n\nSurvived:\n${survivors.join("\n")}`);
if (values.write) {
  const file = join(ROOT, "docs/RELIABILITY.md");
  const text = readFileSync(file, "utf8");
  const mark = /(<!-- npm run mutation -->\n)[\s\S]*?(\n<!-- end of mutation -->)/;
  if (!mark.test(text)) throw new Error(`${file}: no place for the figures`);
  writeFileSync(
    file,
    text.replace(mark, (_, before, after) => `${before}\n${table}\n${after}`),
  );
}
