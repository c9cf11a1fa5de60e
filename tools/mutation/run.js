#!/usr/bin/env node
// Puts small faults into kernels and readers, one at a time, and counts how many the tests notice.
//
//   npm run mutation                                  10 faults of each file: about half an hour on two cores
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
const before =
  values.again && existsSync(log) ? readFileSync(log, "utf8").split("\n").filter(Boolean).map(JSON.parse) : [];
/** The whole text of a file with a fault tells it from all others. */
const idOf = ({ file, mutant }) => createHash("sha256").update(`${file}\n${mutant.code}`).digest("base64url");
const noticed = new Map(before.filter(({ outcome }) => outcome !== "survived").map((result) => [result.id, result]));
const known = drawn.map((fault) => noticed.get(idOf(fault))).filter(Boolean);
const queue = drawn.filter((fault) => !noticed.has(idOf(fault)));

const results = [...known];
writeFileSync(log, results.map((result) => `${JSON.stringify(result)}\n`).join(""));
const began = performance.now();

async function work(index) {
  const copy = new Copy(index);
  const isTime = () => performance.now() - began < 60_000 * Number(values.minutes);
  for (let next = queue.shift(); next !== undefined && isTime(); next = queue.shift()) {
    const { file, mutant } = next;
    const { code, ...what } = mutant;
    const start = performance.now();
    const outcome = await copy.try(file, code);
    const seconds = Number(((performance.now() - start) / 1000).toFixed(1));
    results.push({ id: idOf(next), file, outcome, seconds, ...what });
    appendFileSync(log, `${JSON.stringify(results.at(-1))}\n`);
    const tried = results.length - known.length;
    const left = ((performance.now() - began) / 60_000 / tried) * (drawn.length - results.length);
    const fault = `${what.was} → ${what.is}`.replaceAll(/\s+/g, " ");
    console.error(
      `${results.length}/${drawn.length} ${outcome.padEnd(9)} ${seconds} s ${file}:${what.line} ${fault} (${left.toFixed(0)} min left)`,
    );
  }
  copy.end();
}
await Promise.all(Array.from({ length: Number(values.workers) }, (_, index) => work(index)));
Copy.end();

const counted = (list, outcome) => list.filter((result) => result.outcome === outcome).length;
const score = (list) => {
  const killed = counted(list, "killed") + counted(list, "timed out");
  const all = killed + counted(list, "survived");
  return all === 0 ? "–" : `${((100 * killed) / all).toFixed(0)} %`;
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
