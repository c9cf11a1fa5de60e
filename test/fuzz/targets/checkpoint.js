import { readLibfm } from "../../../src/data/read.js";
import { checkCheckpoint } from "../../../src/train/checkpoint-format.js";
import { createTrainer } from "../../../src/train/trainer.js";
import { XxHash32 } from "../../../src/train/xxhash.js";

const ROWS = await readLibfm("1 0:1 2:1\n-1 1:1 3:1\n1 0:0.5 3:1\n-1 1:1 2:2\n");
/** A training that goes on from a checkpoint. */
const OPTIONS = {
  model: { model: "fm", factors: 1 },
  train: { epochs: 3, batchSize: 2, optimizer: "momentum", shuffle: false },
  data: { train: ROWS, validation: ROWS },
};

/** Checkpoints within an epoch, at its end, and with a state to go back to. */
async function checkpoints() {
  const found = [];
  for (const more of [{}, { onDivergence: "retry" }]) {
    const trainer = await createTrainer({
      ...OPTIONS,
      ...more,
      checkpoint: { every: { steps: 1 }, write: (checkpoint) => void found.push(checkpoint.toBytes()) },
    });
    for await (const _ of trainer);
    trainer.dispose();
  }
  return found;
}

const seeds = await checkpoints();

const PREFIX = 32;
const AT = { headerBytes: 12, bytes: 16, headerHash: 24 };
const MOST_DATA = 4096;
const padded = (bytes) => Math.ceil(bytes / 16) * 16;
const hash = (bytes) => new XxHash32().update(new Uint32Array(bytes.slice().buffer)).digest();

/**
 * Sizes and checksums made right, whatever was changed: a stranger can do that, too, and without it no other byte would ever
 * be looked at.
 */
function repaired(bytes) {
  if (bytes.length < PREFIX) return bytes;
  let end = PREFIX;
  while (end < bytes.length && bytes[end] >= 0x20) end++;
  while (end > PREFIX && bytes[end - 1] !== 0x7d) end--;
  const json = bytes.subarray(PREFIX, end);
  const front = new Uint8Array(PREFIX + padded(json.length)).fill(0x20, PREFIX);
  front.set(bytes.subarray(0, PREFIX));
  front.set(json, PREFIX);
  const size = Math.min(MOST_DATA, sizeOf(json) ?? bytes.length - end);
  const out = new Uint8Array(front.length + padded(size) + 16);
  out.set(front);
  const data = bytes.subarray(padded(end));
  out.set(data.subarray(0, size), front.length);
  const view = new DataView(out.buffer);
  view.setUint32(AT.headerBytes, front.length - PREFIX, true);
  view.setBigUint64(AT.bytes, BigInt(out.length), true);
  view.setUint32(AT.headerHash, 0, true);
  view.setUint32(AT.headerHash, hash(out.subarray(0, front.length)), true);
  view.setUint32(out.length - 16, hash(out.subarray(0, out.length - 16)), true);
  return out;
}

/** Bytes of the arrays that a header names. */
function sizeOf(json) {
  try {
    const { arrays } = JSON.parse(new TextDecoder().decode(json));
    const size = arrays.reduce((sum, { type, length }) => sum + padded((type === "f64" ? 8 : 4) * length), 0);
    return Number.isSafeInteger(size) && size >= 0 ? size : undefined;
  } catch {
    return undefined;
  }
}

/** A checkpoint: read, and gone on from to the end of the training. */
export default {
  seeds: () => seeds,
  words: [
    '"position":{',
    '"epochs":',
    '"steps":',
    '"row":2',
    '"retries":1000',
    '"kept":{"steps":0,"retries":0}',
    '"good":{',
    '"event":{',
    '"__proto__":{"polluted":1},',
    '"arrays":[',
    '{"name":"best","type":"f32","length":24}',
    '"type":"f64"',
    '"NaN"',
    '"-Infinity"',
    "9007199254740991",
    "1e308",
    "[[[[",
  ],
  maxBytes: 8192,
  // A training, and what it is compared with.
  memory: { base: 12e6, factor: 64 },
  async run(bytes) {
    for (const file of [bytes, repaired(bytes)]) {
      await refuses(() => checkCheckpoint(file));
      await refuses(() => goOn(file, {}));
      await refuses(() => goOn(file, { onDivergence: "retry" }));
    }
    if ({}.polluted !== undefined) throw new Error("a prototype has been changed");
  },
};

async function goOn(resume, more) {
  const trainer = await createTrainer({ ...OPTIONS, ...more, resume });
  try {
    let last;
    for await (const event of trainer) last = event;
    if (last.event !== "end" || last.epochs !== OPTIONS.train.epochs) throw new Error("the training has no end");
    const model = trainer.model();
    model.toBytes();
    model.dispose();
  } finally {
    trainer.dispose();
  }
}

/** One refusal does not hide the next fault. */
async function refuses(action) {
  try {
    await action();
  } catch (error) {
    if (error?.name !== "IfmError") throw error;
  }
}
