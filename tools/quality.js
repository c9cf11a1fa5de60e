#!/usr/bin/env node
/*
 * Trains on real data and writes docs/RESULTS.md.
 *
 *   npm run quality -- FOLDER      FOLDER holds frappe/frappe.{train,validation,test}.libfm.gz, ml10m-tag likewise, and
 *                                  adult/adult.{train,test}.csv.gz
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
  console.error(
    "usage: npm run quality -- FOLDER   (with frappe/, adult/ and ml10m-tag/, see the head of tools/quality.js)",
  );
  process.exit(2);
}
const work = mkdtempSync(join(tmpdir(), "ifm-quality-"));

const FM = "--model fm --factors 256 --batch-size 2048 --epochs 200 --lr 0.02 --early-stop 4";
const FROM_FM = "--factors 256 --attention-factors 8 --batch-size 2048 --epochs 40";
/** Squared loss, from an FM of squared loss. */
const SQUARED = `${FROM_FM} --loss squared --lr 0.05 --keep 1,0.8 --early-stop 3`;
/** Logistic loss, from the same FM: the scores that it has are near enough, and a step of 0.02 is all that it takes. */
const LOGISTIC = `${FROM_FM} --loss logistic --reduction sum --lr 0.02 --keep 1,0.5 --early-stop 2`;
const ADULT = "--loss logistic --factors 16 --batch-size 512 --lr 0.02 --epochs 100";
const ADULT_FIELDS = `${ADULT} --attention-factors 8 --keep 1,0.7`;

/**
 * The settings that came out best on the validation rows; docs/RESULTS.md lists what else was tried. `init` is the title
 * of an earlier run on the same data.
 */
const RUNS = [
  { data: "frappe", title: "FM", flags: `${FM} --keep 0.3` },
  { data: "frappe", title: "AFM", init: "FM", flags: `--model afm ${SQUARED}` },
  { data: "frappe", title: "IFM", init: "FM", flags: `--model ifm ${SQUARED} --l2-field 0.1` },
  {
    data: "frappe",
    title: "IFM, half of the pairs sampled",
    init: "FM",
    flags: `--model ifm ${SQUARED} --l2-field 0.1 --sample-pairs 0.5`,
  },
  { data: "frappe", title: "INN", init: "FM", flags: `--model inn ${SQUARED} --l2-field 0.1` },
  {
    data: "frappe",
    title: "DeepIFM",
    init: "FM",
    flags: `--model deepifm ${SQUARED} --epochs 13 --l2-field 0.1`,
  },
  { data: "frappe", title: "FM, logistic loss", flags: `${FM} --loss logistic --reduction sum --keep 0.5` },
  { data: "frappe", title: "AFM, logistic loss", init: "FM", flags: `--model afm ${LOGISTIC}` },
  { data: "frappe", title: "IFM, logistic loss", init: "FM", flags: `--model ifm ${LOGISTIC} --l2-field 0.1` },
  {
    data: "frappe",
    title: "IFM, half of the pairs sampled, logistic loss",
    init: "FM",
    flags: `--model ifm ${LOGISTIC} --l2-field 0.1 --sample-pairs 0.5`,
  },
  { data: "frappe", title: "INN, logistic loss", init: "FM", flags: `--model inn ${LOGISTIC} --l2-field 0.1` },
  {
    data: "frappe",
    title: "DeepIFM, logistic loss",
    init: "FM",
    flags: `--model deepifm ${LOGISTIC} --hidden 64 --lr 0.05 --l2-field 0.1 --l2-hidden 0.01`,
  },
  { data: "adult", title: "FM", flags: `--model fm ${ADULT} --keep 0.7` },
  { data: "adult", title: "AFM", flags: `--model afm ${ADULT_FIELDS}` },
  { data: "adult", title: "IFM", flags: `--model ifm ${ADULT_FIELDS} --l2-field 0.0001` },
  { data: "adult", title: "INN", flags: `--model inn ${ADULT_FIELDS} --hidden 8` },
  { data: "adult", title: "DeepIFM", flags: `--model deepifm ${ADULT_FIELDS} --hidden 64,32` },
  { data: "ml10m-tag", title: "FM", flags: `${FM} --keep 0.5` },
  { data: "ml10m-tag", title: "IFM", init: "FM", flags: `--model ifm ${SQUARED} --l2-field 0.1` },
];

try {
  makeAdult();
  const results = RUNS.map(run);
  const path = join(root, "docs", "RESULTS.md");
  const [head, tail] = split(readFileSync(path, "utf8"));
  writeFileSync(path, `${head}\n${document(results)}\n${tail}`);
  console.error(`wrote ${path}`);
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** Makes the three files of Adult from its csv files. */
function makeAdult() {
  const args = [join(root, "tools/make-sample.js"), join(folder, "adult"), "--full", work];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`adult: ${stderr}`);
}

/** Where the three files of a data set are. */
function filesOf(data) {
  const dir = data === "adult" ? work : join(resolve(folder), data);
  return (part) => join(dir, `${data}.${part}.libfm${data === "adult" ? "" : ".gz"}`);
}

function modelFile(data, title) {
  return `${data}-${title.toLowerCase().replaceAll(/[^a-z]+/g, "-")}.safetensors`;
}

/** One run of the command line, and what it said of its best epoch. */
function run({ data, title, init, flags }) {
  const path = filesOf(data);
  console.error(`\n${data}: ${title} …`);
  const parts = [
    ...(init === undefined ? [] : ["--init", modelFile(data, init)]),
    ...flags.split(" "),
    "--output",
    modelFile(data, title),
  ];
  const { stdout, status } = spawnSync(
    process.execPath,
    [
      join(root, "bin", "ifm-wasm.js"),
      "train",
      path("train"),
      "--validation",
      path("validation"),
      "--test",
      path("test"),
      ...parts,
      "--json",
    ],
    { cwd: work, stdio: ["ignore", "pipe", "inherit"], encoding: "utf8", maxBuffer: 2 ** 28 },
  );
  if (status !== 0) throw new Error(`${title} on ${data} ended with exit code ${status}`);
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const end = events.find(({ event }) => event === "end");
  const start = events.find(({ event }) => event === "start");
  const epochs = events.filter(({ event }) => event === "epoch");
  const best = epochs.find(({ epoch }) => epoch === end.bestEpoch);
  const { rmse, auc, logloss } = best.test;
  console.error(
    `${data}: ${title}: test RMSE ${rmse.toFixed(4)}, AUC ${auc.toFixed(4)}, log loss ${logloss.toFixed(4)}`,
  );
  const seconds = epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
  return {
    data,
    title,
    command: parts.join(" "),
    loss: start.loss,
    seed: start.seed,
    epochs: epochs.length,
    best,
    seconds,
  };
}

function document(results) {
  const lines = [
    `Machine: ${cpus().length} × ${cpus()[0].model.trim()}, Node ${process.version}; commit ${commit()}. Seed ${results[0].seed}.`,
    "",
  ];
  for (const data of new Set(results.map((result) => result.data))) {
    const ofData = results.filter((result) => result.data === data);
    lines.push(`### ${data}`, "");
    for (const loss of new Set(ofData.map((result) => result.loss))) lines.push(...table(loss, ofData), "");
    lines.push("```sh", `FILES="${data}.train.libfm --validation ${data}.validation.libfm --test ${data}.test.libfm"`);
    lines.push(...ofData.map(({ command }) => `ifm-wasm train $FILES ${command}`), "```", "");
  }
  return lines.join("\n");
}

/** The metric that chose the epoch, on the validation rows, and those of the test rows. */
function table(loss, results) {
  const [key, title] = loss === "logistic" ? ["logloss", "log loss"] : ["rmse", "RMSE"];
  const four = (x) => x.toFixed(4);
  return [
    `| ${loss} loss | epochs | best | training time | validation ${title} | **test ${title}** | test AUC |`,
    "|---|---|---|---|---|---|---|",
    ...results
      .filter((result) => result.loss === loss)
      .map(({ title, epochs, best, seconds }) => {
        const { validation, test } = best;
        const cells = [title.replace(", logistic loss", ""), epochs, best.epoch, `${seconds.toFixed(0)} s`];
        return `| ${[...cells, four(validation[key]), `**${four(test[key])}**`, four(test.auc)].join(" | ")} |`;
      }),
  ];
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
