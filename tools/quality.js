#!/usr/bin/env node
/*
 * Trains on real data and writes docs/RESULTS.md.
 *
 *   npm run quality -- FOLDER      FOLDER holds frappe/frappe.{train,validation,test}.libfm.gz, and ml10m-tag likewise
 *
 * Every figure in the document is of a command that is printed beside it; what the commands print is read, not typed.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = process.argv[2];
if (folder === undefined) {
  console.error("usage: npm run quality -- FOLDER   (with frappe/ and ml10m-tag/, see the head of tools/quality.js)");
  process.exit(2);
}
const work = mkdtempSync(join(tmpdir(), "ifm-quality-"));

const FM = "--model fm --factors 256 --optimizer adagrad --batch-size 2048 --epochs 200";
const IFM = "--model ifm --factors 256 --attention-factors 8 --optimizer adagrad --batch-size 2048 --epochs 40";
/** The settings that came out best on the validation rows; docs/RESULTS.md lists what else was tried. */
const RUNS = [
  {
    dataset: "frappe",
    title: "FM, K = 256",
    flags: `${FM} --lr 0.02 --keep 0.5 --early-stop 4 --output frappe-fm.safetensors`,
  },
  {
    dataset: "frappe",
    title: "IFM [8, 256], from the FM",
    flags: `${IFM} --init frappe-fm.safetensors --lr 0.05 --keep 1,0.8 --l2-field 0.1 --early-stop 3 --output frappe-ifm.safetensors`,
  },
  {
    dataset: "ml10m-tag",
    title: "FM, K = 256",
    flags: `${FM} --lr 0.02 --keep 0.5 --early-stop 4 --output ml-fm.safetensors`,
  },
  {
    dataset: "ml10m-tag",
    title: "IFM [8, 256], from the FM",
    flags: `${IFM} --init ml-fm.safetensors --lr 0.05 --keep 1,0.8 --l2-field 0.1 --early-stop 3 --output ml-ifm.safetensors`,
  },
];

try {
  const results = RUNS.map(run);
  const path = join(root, "docs", "RESULTS.md");
  const [head, tail] = split(readFileSync(path, "utf8"));
  writeFileSync(path, `${head}\n${document(results)}\n${tail}`);
  console.error(`wrote ${path}`);
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** One run of the command line, and what it said of its best epoch. */
function run({ dataset, title, flags }) {
  const name = (part) => `${dataset}/${dataset}.${part}.libfm.gz`;
  const files = `${name("train")} --validation ${name("validation")} --test ${name("test")}`;
  console.error(`\n${title} on ${dataset} …`);
  const paths = files.split(" ").map((word) => (word.startsWith("--") ? word : join(resolve(folder), word)));
  const { stdout, status } = spawnSync(
    process.execPath,
    [join(root, "bin", "ifm-wasm.js"), "train", ...paths, ...flags.split(" "), "--json"],
    { cwd: work, stdio: ["ignore", "pipe", "inherit"], encoding: "utf8", maxBuffer: 2 ** 28 },
  );
  if (status !== 0) throw new Error(`${title} on ${dataset} ended with exit code ${status}`);
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const end = events.find(({ event }) => event === "end");
  const start = events.find(({ event }) => event === "start");
  const epochs = events.filter(({ event }) => event === "epoch");
  const best = epochs.find(({ epoch }) => epoch === end.bestEpoch);
  console.error(`${title} on ${dataset}: test RMSE ${best.test.rmse.toFixed(4)} at epoch ${end.bestEpoch}`);
  return {
    dataset,
    title,
    command: `ifm-wasm train ${files} \\\n  ${flags}`,
    seed: start.seed,
    epochs: epochs.length,
    best,
    end,
  };
}

function document(results) {
  const lines = [
    `Machine: ${cpus().length} × ${cpus()[0].model.trim()}, one thread; Node ${process.version}; commit ${commit()}.`,
    "",
  ];
  for (const dataset of new Set(results.map((result) => result.dataset))) {
    lines.push(
      `### ${dataset}`,
      "",
      "| model | seed | epochs | best | training time | validation RMSE | **test RMSE** | test AUC |",
      "|---|---|---|---|---|---|---|---|",
    );
    for (const { title, seed, epochs, best, end } of results.filter((result) => result.dataset === dataset)) {
      lines.push(
        `| ${title} | ${seed} | ${epochs} | ${end.bestEpoch} | ${end.seconds.toFixed(0)} s | ${best.validation.rmse.toFixed(4)} | **${best.test.rmse.toFixed(4)}** | ${best.test.auc.toFixed(4)} |`,
      );
    }
    lines.push(
      "",
      "```sh",
      ...results.filter((result) => result.dataset === dataset).map(({ command }) => command),
      "```",
      "",
    );
  }
  return lines.join("\n");
}

function commit() {
  const { stdout, status } = spawnSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout.trim() : "unknown";
}

/** The parts of the document before and behind the generated one. */
function split(text) {
  const [begin, end] = ["<!-- results: npm run quality -->", "<!-- end of results -->"];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from === -1 || to === -1) throw new Error(`docs/RESULTS.md must have the lines ${begin} and ${end}`);
  return [text.slice(0, from + begin.length), text.slice(to)];
}
