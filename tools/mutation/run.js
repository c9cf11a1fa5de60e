#!/usr/bin/env node
// Puts small faults into kernels and readers, one at a time, and counts how many the tests notice.
//
//   npm run mutation                                  10 faults of each file: 20 minutes on two cores
//   npm run mutation -- --each 40 --file src/data     more of some
//   npm run mutation -- --minutes 20                  begins no other after twenty minutes
//   npm run mutation -- --again                       leaves out what the run before has noticed: after a stop, or new tests
//   npm run mutation -- --write                       also writes the figures into docs/RELIABILITY.md
//
// Faults are drawn by a seed, so that a run can be repeated. What survives is listed with its line: either a test is
// missing, or the fault changes nothing that can be seen (a block size, a prefetch). Works on copies in build/mutation.

import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { Copy, WORK } from "./copy.js";
import { mutantsOf } from "./operators.js";
import { FILES, ROOT } from "./stages.js";

const { values } = parseArgs({
  options: {
    each: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    file: { type: "string", multiple: true, default: [] },
    again: { type: "boolean", default: false },
    workers: { type: "string", default: String(availableParallelism()) },
    minutes: { type: "string", default: "Infinity" },
    write: { type: "boolean", default: false },
  },
});

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

const wanted = FILES.filter((file) => values.file.length === 0 || values.file.some((part) => file.startsWith(part)));
// A fault of each file, then a second of each: a run that ends early has looked at all files.
const drawn = wanted
  .flatMap((file) => {
    const mutants = mutantsOf(readFileSync(join(ROOT, file), "utf8"));
    return draw(mutants, Number(values.each), Number(values.seed)).map((mutant, round) => ({ file, mutant, round }));
  })
  .sort((a, b) => a.round - b.round);

mkdirSync(WORK, { recursive: true });
const log = join(WORK, "results.jsonl");
/** Results of the run before, by fault; the last is the one that counts. */
const before = new Map();
if (values.again && existsSync(log)) {
  for (const line of readFileSync(log, "utf8").split("\n").filter(Boolean)) {
    const result = JSON.parse(line);
    before.set(result.id, result);
  }
}
for (const fault of drawn) {
  // The whole text of a file with a fault tells it from all others.
  fault.id = createHash("sha256").update(`${fault.file}\n${fault.mutant.code}`).digest("base64url");
}
const results = new Map(drawn.filter(({ id }) => before.has(id)).map(({ id }) => [id, before.get(id)]));
writeFileSync(log, [...results.values()].map((result) => `${JSON.stringify(result)}\n`).join(""));
// What has not been tried yet comes first, then what has survived.
const queue = drawn
  .filter(({ id }) => (results.get(id)?.outcome ?? "survived") === "survived")
  .sort((a, b) => Number(results.has(a.id)) - Number(results.has(b.id)));
const began = performance.now();
let tried = 0;

async function work(index) {
  const copy = new Copy(index);
  const isTime = () => performance.now() - began < 60_000 * Number(values.minutes);
  for (let next = queue.shift(); next !== undefined && isTime(); next = queue.shift()) {
    const { id, file, mutant } = next;
    const { code, ...what } = mutant;
    const start = performance.now();
    const outcome = await copy.try(file, code);
    const seconds = Number(((performance.now() - start) / 1000).toFixed(1));
    results.set(id, { id, file, outcome, seconds, ...what });
    appendFileSync(log, `${JSON.stringify(results.get(id))}\n`);
    const left = ((performance.now() - began) / 60_000 / ++tried) * queue.length;
    const fault = `${what.was} → ${what.is}`.replaceAll(/\s+/g, " ");
    console.error(
      `${results.size}/${drawn.length} ${outcome.padEnd(9)} ${seconds} s ${file}:${what.line} ${fault} (${left.toFixed(0)} min left)`,
    );
  }
  copy.end();
}
await Promise.all(Array.from({ length: Number(values.workers) }, (_, index) => work(index)));
Copy.end();

const counted = (some, outcome) => some.filter((result) => result.outcome === outcome).length;
const score = (some) => {
  const killed = counted(some, "killed") + counted(some, "timed out");
  const all = killed + counted(some, "survived");
  return all === 0 ? "–" : `${((100 * killed) / all).toFixed(0)} %`;
};
const list = [...results.values()];
const folders = [...new Set(list.map(({ file }) => dirname(file)))].sort();
const rows = [...folders.map((folder) => [folder, list.filter(({ file }) => dirname(file) === folder)]), ["all", list]];
const table = [
  "| | faults | noticed by a test | by its time | survived | score |",
  "| --- | ---: | ---: | ---: | ---: | ---: |",
  ...rows.map(
    ([name, some]) =>
      `| ${name} | ${some.length - counted(some, "invalid")} | ${counted(some, "killed")} | ${counted(some, "timed out")} | ${counted(some, "survived")} | ${score(some)} |`,
  ),
].join("\n");
const survivors = list
  .filter(({ outcome }) => outcome === "survived")
  .sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1))
  .map(({ file, line, was, is }) => `${file}:${line}  ${was} → ${is}`.replaceAll(/\s+/g, " "));
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
