import { IfmError } from "../errors.js";
import type { Arrays, GoodMark, Kept, Metrics, Position } from "./types.js";
import { HASH_STRIPE, XxHash32 } from "./xxhash.js";

/*
 * The bytes of a checkpoint (docs/FORMATS.md). They are written and read from front to back, in blocks, so that a large
 * table is never there twice; nothing is reserved that the file is not long enough for.
 */

/** What a training is, to tell whether a checkpoint is one of it. */
export interface RunIdentity {
  /** Version of the program: another one may compute otherwise. */
  version: string;
  /** Options by name; those that change no bit are left out. */
  options: Record<string, unknown>;
  /** Rows, slots and a hash of each data set. */
  data: Record<string, { rows: number; slots: number; hash: string }>;
  /** Hash of the weights before the first batch. */
  initial: string;
}

/** Where a checkpoint was taken. */
export interface CheckpointPlace {
  /** The same for all checkpoints of the same data and options: 16 hexadecimal digits. */
  readonly run: string;
  /** Epochs that are done, and rows that are of the next. */
  readonly epochs: number;
  readonly row: number;
  /** Batches so far. */
  readonly steps: number;
  /** How often the learning rate was halved after training had diverged. */
  readonly retries: number;
}

/** Everything that a training needs to go on. */
export interface Checkpoint extends CheckpointPlace {
  readonly bytes: number;
  /** Its bytes, read from the trainer's memory while they are asked for: before training goes on. */
  parts(): Generator<Uint8Array>;
  /** The same in one piece. */
  toBytes(): Uint8Array;
}

export interface CheckpointOptions {
  /**
   * When `write` is called: every so many seconds, batches (steps) or epochs, whichever is there; every 300 seconds when
   * none is. It is called at the end of training, too, also after an abort.
   */
  every?: { seconds?: number; steps?: number; epochs?: number };
  /** Stores a checkpoint. Training waits for it, and goes on with a warning when it fails. */
  write?: (checkpoint: Checkpoint) => void | Promise<void>;
}

/** Something that holds bytes: a file that is open, a Blob. */
export interface CheckpointFile {
  readonly bytes: number;
  /** Fills `target` with the bytes from `at` on. */
  read(at: number, target: Uint8Array): void | Promise<void>;
  /** For messages. */
  readonly name?: string;
}

export type CheckpointSource = Uint8Array | CheckpointFile;

/** What a checkpoint says in its header. */
export interface Header {
  run: string;
  identity: RunIdentity;
  position: Position;
  retries: number;
  stopping: { best: number; bestEpoch: number };
  kept: Omit<Kept, "weights">;
  /** The state to go back to, when it is not this one. */
  good?: GoodMark & { position: Position };
  /** Names and types of the arrays, in the order of the file. */
  arrays: { name: string; type: "f32" | "f64"; length: number }[];
}

const MAGIC = "ifm-ckpt";
const VERSION = 1;
const PREFIX_BYTES = 32;
const TRAILER_BYTES = 16;
/** A header has a few kilobytes. */
const MAX_HEADER_BYTES = 2 ** 24;
/** Bytes at once, whole stripes: what is written or read is hashed while it is in a processor's cache. */
const BLOCK_BYTES = 2 ** 20;

const AT = { version: 8, headerBytes: 12, bytes: 16, headerHash: 24 } as const;

const padded = (bytes: number) => Math.ceil(bytes / HASH_STRIPE) * HASH_STRIPE;
const wordsOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => new Uint32Array(buffer, byteOffset, byteLength / 4);

/** JSON has no numbers that are not finite. */
function spelled(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

/** Size and bytes of a checkpoint. */
export function encodeCheckpoint(
  header: Omit<Header, "arrays">,
  arrays: Arrays,
): { bytes: number; parts(): Generator<Uint8Array> } {
  const entries = Object.entries(arrays);
  const list = entries.map(([name, array]) => {
    return { name, type: array instanceof Float64Array ? "f64" : "f32", length: array.length };
  });
  const json = new TextEncoder().encode(JSON.stringify({ ...header, arrays: list }, spelled));
  const front = new Uint8Array(PREFIX_BYTES + padded(json.length)).fill(0x20, PREFIX_BYTES);
  const bytes = entries.reduce((sum, [, { byteLength }]) => sum + padded(byteLength), front.length) + TRAILER_BYTES;
  front.set(new TextEncoder().encode(MAGIC));
  front.set(json, PREFIX_BYTES);
  const view = new DataView(front.buffer);
  view.setUint32(AT.version, VERSION, true);
  view.setUint32(AT.headerBytes, front.length - PREFIX_BYTES, true);
  view.setBigUint64(AT.bytes, BigInt(bytes), true);
  view.setUint32(AT.headerHash, new XxHash32().update(wordsOf(front)).digest(), true);
  return {
    bytes,
    *parts() {
      const hash = new XxHash32().update(wordsOf(front));
      yield front.slice();
      for (const [, { buffer, byteOffset, byteLength }] of entries) {
        for (let at = 0; at < byteLength; at += BLOCK_BYTES) {
          // A copy: what is behind it may be shared memory, which is not what files are written from.
          const block = new Uint8Array(Math.min(BLOCK_BYTES, padded(byteLength - at)));
          block.set(new Uint8Array(buffer, byteOffset + at, Math.min(BLOCK_BYTES, byteLength - at)));
          hash.update(wordsOf(block));
          yield block;
        }
      }
      const trailer = new Uint8Array(TRAILER_BYTES);
      new DataView(trailer.buffer).setUint32(0, hash.digest(), true);
      yield trailer;
    },
  };
}

/** A checkpoint whose header is whole; whether the rest is, is known when it has been read. */
export interface OpenCheckpoint {
  header: Header;
  /**
   * Reads the arrays.
   *
   * @param place where one of them goes; those that go nowhere are only looked at
   * @throws IfmError IFM_MODEL when something in the file has changed since it was written
   */
  read(place: (name: string, length: number) => Float32Array | Float64Array | undefined): Promise<void>;
}

export function checkpointError(message: string, { name }: { name?: string | undefined }, hint?: string): IfmError {
  return new IfmError("IFM_MODEL", `checkpoint: ${message}`, {
    ...(name === undefined ? {} : { file: name }),
    ...(hint === undefined ? {} : { hint }),
  });
}

/**
 * Reads the header of a checkpoint. What it says of the training is still to be checked: only its form is.
 *
 * @throws IfmError IFM_MODEL when it is none, or damaged
 */
export async function openCheckpoint(source: CheckpointSource): Promise<OpenCheckpoint> {
  const file = source instanceof Uint8Array ? inMemory(source) : source;
  const fail = (message: string, hint?: string) => checkpointError(message, file, hint);
  const prefix = new Uint8Array(PREFIX_BYTES);
  if (file.bytes < PREFIX_BYTES + TRAILER_BYTES) throw fail(`expected at least 48 bytes, found ${file.bytes}`);
  await file.read(0, prefix);
  const view = new DataView(prefix.buffer);
  if (new TextDecoder().decode(prefix.subarray(0, AT.version)) !== MAGIC) throw fail(`does not begin with "${MAGIC}"`);
  const version = view.getUint32(AT.version, true);
  if (version !== VERSION) {
    throw fail(`expected format version ${VERSION}, found ${version}`, "another ifm-wasm may read it");
  }
  const bytes = view.getBigUint64(AT.bytes, true);
  if (bytes !== BigInt(file.bytes))
    throw fail(`has ${file.bytes} bytes, expected ${bytes}: it was not written to its end`);
  const headerBytes = view.getUint32(AT.headerBytes, true);
  const most = Math.min(MAX_HEADER_BYTES, file.bytes - PREFIX_BYTES - TRAILER_BYTES);
  if (headerBytes % HASH_STRIPE !== 0 || headerBytes > most) throw fail(`damaged: a header of ${headerBytes} bytes`);

  const front = new Uint8Array(PREFIX_BYTES + headerBytes);
  front.set(prefix);
  await file.read(PREFIX_BYTES, front.subarray(PREFIX_BYTES));
  const frontView = new DataView(front.buffer);
  const headerHash = frontView.getUint32(AT.headerHash, true);
  frontView.setUint32(AT.headerHash, 0, true);
  if (new XxHash32().update(wordsOf(front)).digest() !== headerHash)
    throw fail("damaged: the checksum of the header differs");
  frontView.setUint32(AT.headerHash, headerHash, true);
  const header = parseHeader(front.subarray(PREFIX_BYTES), fail);
  const sizes = header.arrays.map(({ type, length }) => (type === "f64" ? 8 : 4) * length);
  const expected = sizes.reduce((sum, size) => sum + padded(size), front.length + TRAILER_BYTES);
  if (expected !== file.bytes) throw fail(`has ${file.bytes} bytes, its arrays need ${expected}`);

  return {
    header,
    async read(place) {
      const hash = new XxHash32().update(wordsOf(front));
      let at = front.length;
      for (const [i, { name, type, length }] of header.arrays.entries()) {
        const target = place(name, length);
        const isRight = !target || (target.length === length && target instanceof Float64Array === (type === "f64"));
        if (!isRight) throw fail(`damaged: ${length} numbers of ${name}`);
        const size = sizes[i]!;
        const out = target && new Uint8Array(target.buffer, target.byteOffset, size);
        for (let done = 0; done < size; done += BLOCK_BYTES) {
          const block = new Uint8Array(Math.min(BLOCK_BYTES, padded(size - done)));
          await file.read(at + done, block);
          hash.update(wordsOf(block));
          out?.set(block.subarray(0, Math.min(BLOCK_BYTES, size - done)), done);
        }
        at += padded(size);
      }
      const trailer = new Uint8Array(TRAILER_BYTES);
      await file.read(at, trailer);
      if (new DataView(trailer.buffer).getUint32(0, true) !== hash.digest())
        throw fail("damaged: the checksum differs");
    },
  };
}

/**
 * Reads a checkpoint to its end and tells where it was taken; which data and options it is of is not looked at.
 *
 * @throws IfmError IFM_MODEL when it is none, or damaged
 */
export async function checkCheckpoint(source: CheckpointSource): Promise<CheckpointPlace> {
  const { header, read } = await openCheckpoint(source);
  await read(() => undefined);
  const { epochs, row, steps } = header.position;
  return { run: header.run, epochs, row, steps, retries: header.retries };
}

function inMemory(bytes: Uint8Array): CheckpointFile {
  return {
    bytes: bytes.length,
    read: (at, target) => target.set(bytes.subarray(at, at + target.length)),
  };
}

type Fail = (message: string) => IfmError;

const POSITION = ["epochs", "row", "steps", "beta1", "beta2", "loss", "inOrder", "seconds"] as const;
const METRICS = ["rows", "rmse", "mae", "logloss", "auc", "accuracy", "f1", "gauc"];

/** A header of the right form. Objects are made anew, of the keys that are known. */
function parseHeader(json: Uint8Array, fail: Fail): Header {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (cause) {
    throw fail(`damaged: the header is no JSON (${(cause as Error).message})`);
  }
  const object = (value: unknown, what: string) => {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    throw fail(`damaged: ${what} is no object`);
  };
  const number = (value: unknown, what: string) => {
    const spelledOut = value === "NaN" || value === "Infinity" || value === "-Infinity";
    if (typeof value === "number" || spelledOut) return Number(value);
    throw fail(`damaged: ${what} is no number`);
  };
  const count = (value: unknown, what: string) => {
    if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
    throw fail(`damaged: ${what} is no whole number`);
  };
  const positionOf = (value: unknown, what: string) => {
    const given = object(value, what);
    const position = Object.fromEntries(POSITION.map((key) => [key, number(given[key], `${what}.${key}`)]));
    for (const key of ["epochs", "row", "steps", "inOrder"]) count(given[key], `${what}.${key}`);
    for (const key of POSITION) {
      if (!Number.isFinite(position[key])) throw fail(`damaged: ${what}.${key} is ${position[key]}`);
    }
    return position as unknown as Position;
  };
  const metricsOf = (value: unknown, what: string) => {
    const entries = Object.entries(object(value, what)).filter(([key]) => METRICS.includes(key));
    const metrics = Object.fromEntries(entries.map(([key, metric]) => [key, number(metric, `${what}.${key}`)]));
    return metrics as unknown as Metrics;
  };
  const eventOf = (value: unknown): Kept["event"] => {
    if (value === undefined) return undefined;
    const { epoch, loss, train, validation, test, rowsPerSecond, seconds, best } = object(value, "event");
    return {
      event: "epoch",
      epoch: count(epoch, "event.epoch"),
      loss: number(loss, "event.loss"),
      train: metricsOf(train, "event.train"),
      ...(validation === undefined ? {} : { validation: metricsOf(validation, "event.validation") }),
      ...(test === undefined ? {} : { test: metricsOf(test, "event.test") }),
      rowsPerSecond: number(rowsPerSecond, "event.rowsPerSecond"),
      seconds: number(seconds, "event.seconds"),
      best: best === true,
    };
  };

  const goodOf = (value: unknown) => {
    const { position, steps, event, retries, best, bestEpoch } = object(value, "good");
    return {
      position: positionOf(position, "good"),
      steps: count(steps, "good.steps"),
      event: eventOf(event),
      retries: count(retries, "good.retries"),
      best: number(best, "good.best"),
      bestEpoch: count(bestEpoch, "good.bestEpoch"),
    };
  };

  const { run, identity, position, retries, stopping, kept, good, arrays } = object(parsed, "the header");
  if (typeof run !== "string" || !/^[0-9a-f]{16}$/.test(run)) throw fail("damaged: run is no 16 hexadecimal digits");
  if (!Array.isArray(arrays) || arrays.length > 100) throw fail("damaged: arrays is no short list");
  const { version, options, data, initial } = object(identity, "identity");
  const { best, bestEpoch } = object(stopping, "stopping");
  const { steps, event, retries: keptRetries } = object(kept, "kept");
  return {
    run,
    identity: {
      version: String(version),
      options: object(options, "options"),
      data: object(data, "data") as RunIdentity["data"],
      initial: String(initial),
    },
    position: positionOf(position, "position"),
    retries: count(retries, "retries"),
    stopping: { best: number(best, "best"), bestEpoch: count(bestEpoch, "bestEpoch") },
    kept: {
      steps: count(steps, "kept.steps"),
      event: eventOf(event),
      retries: count(keptRetries, "kept.retries"),
    },
    ...(good === undefined ? {} : { good: goodOf(good) }),
    arrays: arrays.map((entry) => {
      const { name, type, length } = object(entry, "an array");
      if (type !== "f32" && type !== "f64") throw fail("damaged: an array of another type than f32 and f64");
      return { name: String(name), type, length: count(length, "the length of an array") };
    }),
  };
}
