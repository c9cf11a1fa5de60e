// What faults are put into, and what is there to notice them.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Files of the project, also those that are not committed yet; `*` is any part of a path. */
export function listed(...patterns) {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", ...patterns];
  return execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).split("\n").filter(Boolean);
}

/** Lists of exports, the struct's fields and what is in the builds for tests alone have nothing that could be wrong alone. */
const KERNELS = listed("assembly/*.ts").filter((file) => !/\/(index|abi|bounds|math-testing)\.ts$/.test(file));
const READERS = listed(
  "src/data/*.ts",
  "src/model/safetensors*.ts",
  "src/model/format*.ts",
  "src/model/integrity.ts",
  "src/train/checkpoint-format.ts",
  "src/train/xxhash.ts",
);
export const FILES = [...KERNELS, ...READERS];

const TESTS = listed("test/*.test.ts");

/** The tests that are a file, or directly in a folder. */
const at = (...places) => TESTS.filter((test) => places.includes(test) || places.includes(dirname(test)));

/** The tests of a name: `cache.test.ts`, `cache-format.test.ts`. */
const named = (folder, name) =>
  at(folder).filter((test) => /^(-.*)?\.test\.ts$/.test(test.replace(`${folder}/${name}`, "")));

/** Tests of readers that have none of their own name. */
const SHARED = {
  load: "read",
  zlib: "open",
  "safetensors-read": "safetensors",
  "format-read": "format",
  xxhash: "checkpoint-format",
};

/** Modules that tests of models, trainings and services compute with. */
const MODULES = ["release", "debug", "predict"];
const BATCHES = [
  at("test/models/steps.test.ts", "test/models/laws.test.ts", "test/models/golden.test.ts"),
  at("test/models", "test/model/serving.test.ts", "test/model/quantize.test.ts", "test/train/pinned.test.ts"),
];
const SERVING = at("test/model/serving.test.ts");
const WHOLE = at(
  "test/train/reproducible.test.ts",
  "test/train/divergence.test.ts",
  "test/wasm/abi.test.ts",
  "test/wasm/bounds.test.ts",
);

/** Tests of what a file of kernels exports, one kernel at a time. */
function kernelTests(file) {
  if (/^assembly\/(simd|records)\.ts$/.test(file)) return at("test/kernels");
  const own = named("test/kernels", basename(file, ".ts"));
  if (own.length > 0 || !file.startsWith("assembly/kernels/")) return own;
  const exported = [...readFileSync(join(ROOT, file), "utf8").matchAll(/^export function (\w+)/gm)].map(
    ([, name]) => name,
  );
  const uses = new RegExp(`\\b(${exported.join("|")})\\b`);
  return at("test/kernels").filter((test) => uses.test(readFileSync(join(ROOT, test), "utf8")));
}

/**
 * Builds and tests in stages, the quickest first: a fault that one notices needs no other.
 *
 * @param {string} file one of FILES
 * @returns {{ builds: string[], tests: string[] }[]}
 */
export function stagesOf(file) {
  if (file.startsWith("assembly/")) {
    const own = kernelTests(file);
    const lists = [...BATCHES];
    if (file === "assembly/sha256.ts") lists.splice(0, 2, at("test/model/integrity.test.ts"));
    else if (/^assembly\/(serve|predict|models\/(rank|explain))/.test(file)) lists.unshift(SERVING);
    else if (own.length === 0) lists.push(WHOLE);
    const batches = inTurn(lists).map((tests, i) => ({ builds: i === 0 ? MODULES : [], tests }));
    return own.length > 0 ? [{ builds: ["kernels"], tests: own }, ...batches] : batches;
  }
  const name = basename(file, ".ts");
  const folder = dirname(file).replace("src", "test");
  const own = named(folder, SHARED[name] ?? name);
  const others = {
    "src/data": at("test/data"),
    "src/model": at("test/model", ...BATCHES[0]),
    "src/train": at("test/train/checkpoint.test.ts"),
  };
  return inTurn([own, others[dirname(file)]]).map((tests) => ({ builds: [], tests }));
}

/** Lists without what is in one before; those of nothing are left out. */
function inTurn(lists) {
  const seen = new Set();
  const fresh = lists.map((tests) => tests.filter((test) => !seen.has(test) && seen.add(test)));
  return fresh.filter((tests) => tests.length > 0);
}
