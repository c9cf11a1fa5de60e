import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTrainer, Model } from "../dist/node.js";
import { FIELDS, madeRows, slice } from "./data.js";
import { describe, MODELS } from "./models.js";
import { cpuMilliseconds, median } from "./time.js";

/*
 * Prediction from small tables (`ifm-wasm quantize`) beside that from the table they were made of: the same rows on the
 * Frappe shape, one thread, in turn. Times are those of the processor, which other work on the machine changes less; a
 * ratio is the median over the rounds.
 */

const CLI = fileURLToPath(new URL("../bin/ifm-wasm.js", import.meta.url));
const KINDS = ["f32", "f16", "int8"];
const ROWS = 4096;
const SINGLE_ROWS = 256;
/** Milliseconds of a turn. */
const TURN = 10;

/** A model in each form of its table. */
async function forms(options) {
  const folder = mkdtempSync(join(tmpdir(), "ifm-bench-"));
  try {
    const trainer = await createTrainer({ ...options, train: { ...options.train, epochs: 1 } });
    for await (const _event of trainer);
    const path = (kind) => join(folder, `${kind}.safetensors`);
    await trainer.model().save(path("f32"));
    trainer.dispose();
    for (const kind of KINDS.slice(1)) {
      execFileSync(process.execPath, [CLI, "quantize", path("f32"), "--to", kind, "--output", path(kind)]);
    }
    return await Promise.all(KINDS.map((kind) => Model.load(path(kind))));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Microseconds of a row when the call, which scores `rows`, is made again and again for a turn. */
function turn(call, rows) {
  const begin = cpuMilliseconds();
  let calls = 0;
  let time = 0;
  do {
    call();
    calls++;
    time = cpuMilliseconds() - begin;
  } while (time < TURN);
  return (1000 * time) / calls / rows;
}

/**
 * Microseconds of a row, of many rows in a call and of one, for each form of the table.
 *
 * @param {{ rounds: number, only?: (title: string) => boolean, log: (line: string) => void }} settings
 */
export async function benchSmall({ rounds, only = () => true, log }) {
  const data = madeRows(FIELDS.frappe, 32 * 1024);
  const part = slice(data, 0, ROWS);
  const rows = Array.from({ length: SINGLE_ROWS }, (_, r) => slice(data, r, r + 1));
  const results = [];
  for (const { title, on, onlyTrain, ...declared } of MODELS) {
    if (on !== undefined || onlyTrain || !only(title)) continue;
    const models = await forms(describe(declared, data, 2048).options);
    const times = models.map(() => ({ batch: [], single: [] }));
    // The first rounds warm up.
    for (let round = -2; round < rounds; round++) {
      for (const [i, model] of models.entries()) {
        const batch = turn(() => model.predict(part), ROWS);
        const single = turn(() => {
          for (const row of rows) model.predict(row);
        }, SINGLE_ROWS);
        if (round < 0) continue;
        times[i].batch.push(batch);
        times[i].single.push(single);
      }
    }
    for (const model of models) model.dispose();
    const of = (way) =>
      KINDS.map((kind, i) => ({
        kind,
        microseconds: median(times[i][way]),
        ratio: median(times[i][way].map((time, round) => time / times[0][way][round])),
      }));
    const result = { title, batch: of("batch"), single: of("single") };
    results.push(result);
    const ratios = (list) => list.map(({ kind, ratio }) => `${kind} ${ratio.toFixed(2)}`).join(", ");
    log(
      `small: ${title}: times of f32: rows ${ratios(result.batch.slice(1))}; one row ${ratios(result.single.slice(1))}`,
    );
  }
  return results;
}
