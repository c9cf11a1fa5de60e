import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { LibfmParser } from "../dist/libfm.js";
import { createTrainer } from "../dist/node.js";
import { coreBundle } from "../tools/core-bundle.js";
import { FIELDS, libfmText, madeRows, slice } from "./data.js";
import { describe, MODELS } from "./models.js";
import { median, secondsOf } from "./time.js";

/* What does not grow with the rows: starting, size, one row at a time; and reading a file. */

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** A model that has been trained for one short epoch. */
async function smallModel(declared, data) {
  const { options } = describe(declared, data, 512);
  const trainer = await createTrainer({ ...options, train: { ...options.train, epochs: 1 } });
  for await (const _ of trainer);
  const model = trainer.model();
  await trainer.dispose();
  return model;
}

/** Import and instantiation, medians over fresh processes. */
async function startUp(processes) {
  const folder = mkdtempSync(join(tmpdir(), "ifm-bench-"));
  try {
    const model = await smallModel({ model: "ifm", A: 8, K: 8 }, madeRows([5, 5, 5], 512));
    await model.save(join(folder, "small.safetensors"));
    await model.dispose();
    const runs = Array.from({ length: processes }, () =>
      JSON.parse(
        execFileSync(process.execPath, [join(ROOT, "bench/start-child.js"), join(folder, "small.safetensors")], {
          encoding: "utf8",
        }),
      ),
    );
    return { imported: median(runs.map((run) => run.imported)), loaded: median(runs.map((run) => run.loaded)) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Bytes of the core and its kernels, minified and gzipped: what test/package.test.ts limits. */
export async function sizes() {
  const code = await coreBundle();
  const wasm = readFileSync(join(ROOT, "wasm/ifm.wasm"));
  return {
    code: code.length,
    codeGzip: gzipSync(code, { level: 9 }).length,
    wasm: wasm.length,
    wasmGzip: gzipSync(wasm, { level: 9 }).length,
  };
}

/** Microseconds of `predict` with one row. */
async function oneRow(title, data, seconds) {
  const declared = MODELS.find((entry) => entry.title === title);
  const model = await smallModel(declared, slice(data, 0, 512));
  // Features of later rows are unknown to a model of a few rows: the same rows are scored, one after the other.
  const rows = Array.from({ length: 256 }, (_, r) => slice(data, r, r + 1));
  const time = await secondsOf(async () => {
    for (const row of rows) await model.predict(row);
  }, seconds);
  await model.dispose();
  return { title, microseconds: (1e6 * time) / rows.length };
}

/** MB/s of the libFM parser, on text that lies in memory. */
async function parsing(seconds) {
  const bytes = new TextEncoder().encode(libfmText(madeRows(FIELDS.frappe, 100_000)));
  const chunk = 65536;
  const time = await secondsOf(() => {
    const parser = new LibfmParser();
    for (let at = 0; at < bytes.length; at += chunk) parser.push(bytes.subarray(at, at + chunk));
    return parser.end().rows;
  }, seconds);
  return { megabytes: bytes.length / 1e6, rate: bytes.length / 1e6 / time };
}

/** @param {{ quick?: boolean, log?: (line: string) => void }} settings */
export async function benchStart({ quick = false, log = () => {} } = {}) {
  const seconds = quick ? 0.2 : 0.6;
  const data = madeRows(FIELDS.frappe, 1024);
  const rows = [];
  for (const title of ["FM 64", "IFM [16, 16]", "IFM [8, 256]"]) rows.push(await oneRow(title, data, seconds));
  const started = await startUp(quick ? 5 : 15);
  const result = { rows, ...started, parse: await parsing(seconds), sizes: await sizes() };
  log(
    `start: import ${result.imported.toFixed(1)} ms, first model ${result.loaded.toFixed(1)} ms, parse ${result.parse.rate.toFixed(0)} MB/s`,
  );
  return result;
}
