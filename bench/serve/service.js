// What load.js and memory.js have in common: a model, a service, requests.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTrainer, readLibfm } from "../../dist/node.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Of the context and of a candidate. */
const CONTEXT_SLOTS = 8;
const SLOTS = 10;
/** Features of a slot. */
const PER_SLOT = 800;
export const FEATURES = SLOTS * PER_SLOT;

/** Kinds of models and their sizes. */
export const SHAPES = {
  fm: { model: "fm", factors: 64 },
  ifm: { model: "ifm", factors: 64, attentionFactors: 8, fieldFactors: 8 },
};

/** Numbers that are the same in every run. */
function generator(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** An untrained model as a file: how fast it answers does not depend on its weights. */
export async function makeModel(kind) {
  const folder = mkdtempSync(join(tmpdir(), "ifm-wasm-serve-"));
  const line = (r) => `${r} ${Array.from({ length: SLOTS }, (_, slot) => `${slot * PER_SLOT + r}:1`).join(" ")}\n`;
  const train = await readLibfm(line(0) + line(1));
  const trainer = await createTrainer({
    model: { ...SHAPES[kind], features: FEATURES },
    train: { epochs: 0 },
    data: { train },
  });
  const file = join(folder, "model.safetensors");
  const model = trainer.model();
  await model.save(file);
  model.dispose();
  trainer.dispose();
  return { file, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Bodies of requests that rank, each with another context and other candidates. */
export function rankBodies(count, candidates, topK) {
  const below = generator(1);
  return Array.from({ length: count }, () => {
    const slot = (position) => position * PER_SLOT + below(PER_SLOT);
    const context = { features: Array.from({ length: CONTEXT_SLOTS }, (_, position) => slot(position)) };
    const width = SLOTS - CONTEXT_SLOTS;
    const features = Array.from({ length: candidates * width }, (_, i) => slot(CONTEXT_SLOTS + (i % width)));
    return JSON.stringify({ context, candidates: { count: candidates, features }, topK });
  });
}

/** Starts `ifm-wasm serve`; resolves when it is ready. */
export async function startService(modelFile, workers) {
  const args = ["bin/ifm-wasm.js", "serve", modelFile, "--port", "0", "--workers", String(workers), "--quiet"];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  const exit = new Promise((resolve) => child.once("exit", resolve));
  const url = await new Promise((resolve, reject) => {
    child.stdout.on("data", (text) => resolve(String(text).trim()));
    exit.then((code) => reject(new Error(`ifm-wasm serve ended with ${code}`)));
  });
  return {
    url,
    async stop() {
      child.kill("SIGTERM");
      await exit;
    },
  };
}

/** What the serving processes take together. */
export async function usage(url) {
  const text = await (await fetch(`${url}/metrics`)).text();
  const value = (name) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)[1]);
  return { bytes: value("ifm_resident_memory_bytes"), cpuSeconds: value("ifm_cpu_seconds_total") };
}

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
