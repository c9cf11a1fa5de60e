// How long a checkpoint takes, of an FM with a large table: node bench/checkpoint.js [FEATURES] [FOLDER]

import { closeSync, fsyncSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { checkCheckpoint } from "../dist/checkpoint.js";
import { createTrainer } from "../dist/node.js";

const features = Number(process.argv[2] ?? 1_000_000);
const folder = mkdtempSync(join(process.argv[3] ?? tmpdir(), "ifm-wasm-checkpoint-"));
const rows = 20_000;
const data = {
  name: "made",
  rows,
  labels: Float32Array.from({ length: rows }, (_, r) => (r % 3 === 0 ? 1 : -1)),
  rowPtr: Uint32Array.from({ length: rows + 1 }, (_, r) => 10 * r),
  features: Uint32Array.from({ length: 10 * rows }, (_, i) => Math.imul(i, 2654435761) >>> 0).map((x) => x % features),
  values: null,
  featureCount: features,
  minSlots: 10,
  maxSlots: 10,
  labelMin: -1,
  labelMax: 1,
};
const options = { model: { model: "fm", factors: 64, features }, train: { epochs: 1 }, data: { train: data } };

/** Seconds of the best of three, by the clock and of processor time: on a busy machine the second says more. */
async function time(action) {
  let [clock, processor] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < 3; i++) {
    const [started, before] = [performance.now(), process.cpuUsage()];
    await action();
    const { user, system } = process.cpuUsage(before);
    clock = Math.min(clock, (performance.now() - started) / 1000);
    processor = Math.min(processor, (user + system) / 1e6);
  }
  return { clock, processor };
}

const trainer = await createTrainer({ ...options, checkpoint: {} });
for await (const event of trainer) if (event.event === "epoch") break;
const { bytes } = trainer.checkpoint();
const path = join(folder, "checkpoint");
const rate = (seconds) => `${seconds.toFixed(3)} s ${(bytes / 1e6 / seconds).toFixed(0).padStart(6)} MB/s`;
const say = (what, { clock, processor }) =>
  console.log(`${what.padEnd(26)} ${rate(clock)} by the clock, ${rate(processor)} of processor time`);

try {
  console.log(`${(bytes / 1e6).toFixed(0)} MB, load average ${loadavg()[0].toFixed(1)}`);
  say(
    "read from memory, hashed",
    await time(() => {
      for (const _ of trainer.checkpoint().parts());
    }),
  );
  say(
    "written, on the disk",
    await time(() => {
      const file = openSync(path, "w");
      for (const part of trainer.checkpoint().parts()) writeSync(file, part);
      fsyncSync(file);
      closeSync(file);
    }),
  );
  const file = openSync(path);
  const source = {
    bytes: statSync(path).size,
    read: (at, target) => void readSync(file, target, 0, target.length, at),
  };
  say("checked", await time(() => checkCheckpoint(source)));
  trainer.dispose();
  say("made ready without it", await time(async () => (await createTrainer(options)).dispose()));
  say("resumed", await time(async () => (await createTrainer({ ...options, resume: source })).dispose()));
} finally {
  rmSync(folder, { recursive: true });
}
