#!/usr/bin/env node
/*
 * workerd with a model of 2 MB: from its start, and from the first request, to the first ranking.
 *
 *   npm run build && node test/runtimes/install.js
 *   node bench/serve/cold-start.js [--runs 10]
 */
import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { rolldown } from "rolldown";
import { packageFolder } from "../../test/runtimes/install.js";
import { load, machine } from "../machine.js";
import { makeModel, rankBodies } from "./service.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const WORKERD = join(packageFolder("workerd"), "bin", "workerd");
const WORKER = `
import { Model } from ${JSON.stringify(join(ROOT, "dist/predict-workerd.js"))};
import { createHandler } from ${JSON.stringify(join(ROOT, "dist/serve.js"))};
import bytes from "./model.safetensors";
let handler;
export default {
  async fetch(request) {
    handler ??= createHandler(await Model.load(new Uint8Array(bytes)));
    return handler(request);
  },
};`;

const { values } = parseArgs({ options: { runs: { type: "string", default: "10" } } });

/** A folder with the bundled worker, what it imports, and workerd's configuration. */
async function makeWorker(modelFile) {
  const folder = mkdtempSync(join(tmpdir(), "ifm-wasm-cold-"));
  const modules = new Map([["model.safetensors", modelFile]]);
  writeFileSync(join(folder, "source.js"), WORKER);
  const build = await rolldown({
    input: join(folder, "source.js"),
    platform: "neutral",
    plugins: [
      {
        name: "modules",
        resolveId(id, importer) {
          if (id.endsWith(".wasm")) modules.set(basename(id), resolve(dirname(importer), id));
          return /\.(wasm|safetensors)$/.test(id) ? { id: `./${basename(id)}`, external: true } : null;
        },
      },
    ],
  });
  await build.write({ file: join(folder, "worker.js"), format: "esm", codeSplitting: false, minify: true });
  await build.close();
  const embedded = Array.from(modules, ([name, path]) => {
    copyFileSync(path, join(folder, name));
    return `(name = "${name}", ${name.endsWith(".wasm") ? "wasm" : "data"} = embed "${name}")`;
  });
  writeFileSync(
    join(folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js"), ${embedded.join(", ")}],
  compatibilityDate = "2025-11-01",
);
`,
  );
  return folder;
}

/** Milliseconds from start to listening, of the first request, and the median of those that follow. */
async function run(folder, body) {
  const start = performance.now();
  const args = ["serve", join(folder, "config.capnp"), "--control-fd=3"];
  const child = spawn(WORKERD, args, { stdio: ["ignore", "ignore", "inherit", "pipe"] });
  try {
    const port = await new Promise((done, fail) => {
      child.stdio[3].on("data", (text) => done(/"port":(\d+)/.exec(String(text))[1]));
      child.once("exit", (code) => fail(new Error(`workerd ended with ${code}`)));
    });
    const listening = performance.now() - start;
    const request = async () => {
      const begin = performance.now();
      const headers = { "content-type": "application/json" };
      const response = await fetch(`http://127.0.0.1:${port}/v1/rank`, { method: "POST", body, headers });
      const text = await response.text();
      if (response.status !== 200) throw new Error(text);
      return performance.now() - begin;
    };
    const first = await request();
    const later = [];
    for (let i = 0; i < 50; i++) later.push(await request());
    return [listening, first, median(later)];
  } finally {
    child.kill("SIGKILL");
  }
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

const { cpu, cores, commit } = machine();
console.log(`${cpu}, ${cores} cores, commit ${commit}, load ${load()} before`);
console.log("model   starts  first request  later requests   ms, medians");
const [body] = rankBodies(1, 1000, 10);
for (const kind of ["fm", "ifm"]) {
  const { file, remove } = await makeModel(kind);
  const folder = await makeWorker(file);
  const runs = [];
  for (let i = 0; i < Number(values.runs); i++) runs.push(await run(folder, body));
  const [listening, first, later] = [0, 1, 2].map((part) => median(runs.map((times) => times[part])));
  console.log(
    `${kind.padEnd(6)} ${listening.toFixed(0).padStart(7)} ${first.toFixed(1).padStart(14)} ${later.toFixed(1).padStart(15)}`,
  );
  remove();
  rmSync(folder, { recursive: true });
}
console.log(`load ${load()} after`);
