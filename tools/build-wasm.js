// Compiles the kernels, several targets at a time, those only whose sources have changed since.
//
//   node tools/build-wasm.js            the modules of the package: wasm/
//   node tools/build-wasm.js --tests    also those that only tests use: build/

import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const ASC = "node_modules/assemblyscript/bin/asc.js";

/** Entries of each target of asconfig.json. */
const TRAIN = "assembly/index.ts";
const SERVE = "assembly/serve.ts";
const PACKAGE = {
  threads: [TRAIN, SERVE],
  fast: [TRAIN, SERVE],
  release: [TRAIN],
  predict: ["assembly/predict.ts"],
};
const TESTS = {
  debug: [TRAIN, SERVE],
  "debug-threads": [TRAIN, SERVE],
  kernels: ["assembly/kernels/index.ts"],
};

const { targets } = JSON.parse(readFileSync(join(ROOT, "asconfig.json"), "utf8"));

/** Time of last change; 0 when there is no such file. */
const timeOf = (name) => statSync(join(ROOT, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Time of the newest of the files that the kernels are built from. */
function newestSource() {
  const sources = readdirSync(join(ROOT, "assembly"), { recursive: true, encoding: "utf8" });
  const files = sources.filter((name) => name.endsWith(".ts")).map((name) => `assembly/${name}`);
  return Math.max(...["asconfig.json", "package.json", ...files].map(timeOf));
}

function compile(target, entries) {
  const { outFile } = targets[target];
  // What a compiler that fails leaves must not look fresh.
  rmSync(join(ROOT, outFile), { force: true });
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [ASC, ...entries, "--target", target], { cwd: ROOT, stdio: "inherit" });
    child.once("error", reject);
    child.once("exit", (code) => {
      if (code === 0 && timeOf(outFile) > 0) resolve();
      else reject(new Error(`asc --target ${target} ended with ${code}`));
    });
  });
}

/** Compiles what is missing or older than its sources. */
export async function buildWasm({ tests = false } = {}) {
  const newest = newestSource();
  const wanted = Object.entries({ ...PACKAGE, ...(tests ? TESTS : {}) });
  const stale = wanted.filter(([target]) => timeOf(targets[target].outFile) < newest);
  for (const folder of ["wasm", "build"]) mkdirSync(join(ROOT, folder), { recursive: true });
  const next = async () => {
    for (let entry = stale.shift(); entry !== undefined; entry = stale.shift()) await compile(...entry);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, next));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildWasm({ tests: process.argv.includes("--tests") });
