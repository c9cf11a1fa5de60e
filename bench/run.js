#!/usr/bin/env node
/*
 * Measures everything and writes docs/BENCHMARKS.md, docs/bench/*.svg and the figures in README.md.
 *
 *   npm run bench                          all of it: under 10 minutes
 *   npm run bench -- --quick               a minute's worth of all of it
 *   npm run bench -- --only models,peers   of limits, models, rank, small, fast, start, scaling, kernels, versions, peers
 *   npm run bench -- --threads 1           without those that use several threads
 *
 * Ratios count only within one run, so --quick and --only write to build/bench/ and leave the documents alone.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { document, readmeTable, replaceBetween } from "./document.js";
import { benchFast } from "./fast.js";
import { benchKernels } from "./kernels.js";
import { measureLimits } from "./limits.js";
import { load, machine } from "./machine.js";
import { benchModels, threadsOf } from "./models.js";
import { benchPeers } from "./peers/index.js";
import { benchRank } from "./rank.js";
import { benchScaling } from "./scaling.js";
import { benchSmall } from "./small.js";
import { benchStart } from "./start.js";
import { lineChart } from "./svg.js";
import { benchVersions } from "./versions.js";

const PARTS = ["limits", "models", "rank", "small", "fast", "start", "scaling", "kernels", "versions", "peers"];
const ROOT = fileURLToPath(new URL("../", import.meta.url));
const BUILD = join(ROOT, "build/bench");

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    threads: { type: "string", default: "1,2,3" },
  },
});
const parts = values.only?.split(",") ?? PARTS;
const unknown = parts.filter((part) => !PARTS.includes(part));
if (unknown.length > 0) {
  console.error(`--only: expected some of ${PARTS.join(", ")}, found ${unknown.join(", ")}`);
  process.exit(2);
}
const { quick } = values;
const isWhole = !quick && values.only === undefined;

const began = performance.now();
const log = (line) => console.error(`${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${line}`);
const description = machine();
const before = load();
if (Number(before) > 0.5) log(`!! load average ${before}: other work is using this machine, figures will be low`);

const wantedThreads = values.threads.split(",").map(Number);
const threads = [];
for (const count of wantedThreads) if (count === 1 || (await threadsOf(count)) === count) threads.push(count);
if (threads.length < wantedThreads.length) log(`threads: ${threads.join(", ")} of ${wantedThreads.join(", ")}`);

const results = { threads, limits: await measureLimits(join(BUILD, "limits.wasm")) };
const { registers, gemm, triad } = results.limits;
log(`limits: ${registers.toFixed(1)} and ${gemm.toFixed(1)} GFLOP/s, ${triad.toFixed(1)} GB/s`);
if (parts.includes("models")) {
  results.models = await benchModels(results.limits, {
    threads: quick ? [1] : threads.filter((count) => count <= availableParallelism()),
    seconds: quick ? 0.1 : 0.5,
    // A tenth of the models in a tenth of the time.
    only: quick ? (title) => ["FM 64", "IFM [8, 64]"].includes(title) : undefined,
    log,
  });
}
if (parts.includes("rank")) results.rank = await benchRank({ rounds: quick ? 10 : 100, log });
if (parts.includes("small")) {
  const only = quick ? (title) => ["FM 64", "IFM [8, 64]"].includes(title) : undefined;
  results.small = await benchSmall({ rounds: quick ? 5 : 15, only, log });
}
if (parts.includes("fast")) results.fast = await benchFast({ quick, log });
if (parts.includes("start")) results.start = await benchStart({ quick, log });
if (parts.includes("scaling")) {
  results.scaling = await benchScaling({ threads: quick ? [1] : threads, seconds: quick ? 0.05 : 0.3, quick, log });
}
if (parts.includes("kernels") || parts.includes("versions")) {
  const paths = [join(BUILD, "kernels.wasm"), join(ROOT, "src/wasm/abi.ts")];
  results.kernels = await benchKernels(...paths, results.limits, { time: quick ? 10 : 60 });
  log(`kernels: ${results.kernels.length}`);
}
if (parts.includes("versions")) results.versions = benchVersions(results.kernels, { time: quick ? 5 : 30, log });
// Last, so that nobody's memory and threads but ours are there while ours is measured alone.
if (parts.includes("peers")) results.peers = await benchPeers({ quick, log });

const seconds = (performance.now() - began) / 1000;
results.machine = { ...description, load: { before, after: load() }, seconds };
writeFileSync(join(BUILD, "results.json"), `${JSON.stringify(results, null, 2)}\n`);

/** Writes the plots into a folder, which holds nothing else. */
function writePlots(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const sweep of results.scaling ?? []) writeFileSync(join(folder, `${sweep.name}.svg`), lineChart(sweep));
}

if (isWhole) {
  writePlots(join(ROOT, "docs/bench"));
  const write = (path, inside) => {
    const text = readFileSync(join(ROOT, path), "utf8");
    writeFileSync(join(ROOT, path), replaceBetween(text, "<!-- npm run bench -->", "<!-- end of bench -->", inside));
    log(`wrote ${path}`);
  };
  write("docs/BENCHMARKS.md", document(results, "bench"));
  write("README.md", readmeTable(results));
} else {
  writePlots(join(BUILD, "plots"));
  writeFileSync(join(BUILD, "BENCHMARKS.md"), `${document(results, "plots")}\n`);
  log("wrote build/bench/BENCHMARKS.md; docs/ is only written by a whole run");
}
// Backends of peers may keep threads.
process.exit(0);
