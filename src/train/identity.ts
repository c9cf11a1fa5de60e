import type { ModelConfig, TrainConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";
import { VERSION } from "../version.js";
import { type CheckpointFile, checkpointError, type RunIdentity } from "./checkpoint-format.js";
import type { FitData } from "./types.js";
import { XxHash32 } from "./xxhash.js";

/** Differences that are named, and how much of a name and of a value. */
const NAMED = 5;
const NAME_LENGTH = 40;
const VALUE_LENGTH = 80;
/** Words that are hashed at once. */
const BLOCK_WORDS = 2 ** 16;

/** What decides on the bits of a training, besides its data and its initial weights. */
export interface BitOptions {
  model: ModelConfig;
  train: TrainConfig;
  evaluateTrain: boolean;
  fast: boolean;
}

/** @param weights as they are before the first batch */
export function identityOf(options: BitOptions, data: FitData, weights: Float32Array): RunIdentity {
  const { model, train, evaluateTrain, fast } = options;
  // More epochs are the same training, gone on with.
  const { epochs: _epochs, ...rest } = train;
  const sets = Object.entries({ train: data.train, validation: data.validation, test: data.test });
  return {
    version: VERSION,
    options: { ...model, ...rest, evaluateTrain, fast },
    data: Object.fromEntries(
      sets.flatMap(([name, set]) => {
        return set === undefined
          ? []
          : [[name, { rows: set.rows, slots: set.features.length, hash: hashOfRows(set, model.features) }]];
      }),
    ),
    initial: new Hash().add(weights).digest(),
  };
}

/** 16 hexadecimal digits that stand for an identity. */
export function runOf(identity: RunIdentity): string {
  const text = new TextEncoder().encode(JSON.stringify(identity));
  const words = new Uint32Array(Math.ceil(text.length / 4));
  new Uint8Array(words.buffer).set(text);
  return new Hash().add(words).digest();
}

/**
 * Says what differs.
 *
 * @throws IfmError IFM_MODEL
 */
export function checkIdentity(
  there: RunIdentity,
  here: RunIdentity,
  data: FitData,
  file: Partial<CheckpointFile>,
): void {
  const hint = "resume with the data and options that it was begun with, or begin anew without a checkpoint";
  if (there.version !== here.version) {
    throw checkpointError(
      `written by version ${shown(there.version)}, this is ${shown(here.version)}`,
      file,
      "use that one",
    );
  }
  const differences = differencesOf(there.options, JSON.parse(JSON.stringify(here.options)));
  if (differences.length > 0) {
    const more = differences.length > NAMED ? `; and ${differences.length - NAMED} more` : "";
    throw checkpointError(`of another training: ${differences.slice(0, NAMED).join("; ")}${more}`, file, hint);
  }
  const names = { train: "training", validation: "validation", test: "test" };
  for (const [key, name] of Object.entries(names)) {
    const [was, is] = [there, here].map(({ data }) => (Object.hasOwn(data, key) ? data[key] : undefined));
    if (JSON.stringify(was) === JSON.stringify(is)) continue;
    const describe = (set: typeof was) =>
      set ? `${shown(set.rows)} rows, ${shown(set.slots)} slots, hash ${shown(set.hash)}` : "none";
    const set = data[key as keyof FitData];
    const place = set === undefined ? "" : ` (${set.name})`;
    throw checkpointError(`of other ${name} rows: were ${describe(was)}, are ${describe(is)}${place}`, file, hint);
  }
  if (there.initial !== here.initial) {
    throw checkpointError("of other initial weights: the model to start from is another one", file, hint);
  }
}

/** What two objects of options differ in, in words. */
function differencesOf(there: Record<string, unknown>, here: Record<string, unknown>, at = ""): string[] {
  return [...new Set([...Object.keys(there), ...Object.keys(here)])].flatMap((key) => {
    const [was, is] = [there, here].map((options) => (Object.hasOwn(options, key) ? options[key] : undefined));
    if (isObject(was) && isObject(is)) return differencesOf(was, is, `${at}${key}.`);
    if (JSON.stringify(was) === JSON.stringify(is)) return [];
    return [`${at}${key.slice(0, NAME_LENGTH).replace(/[^\w.]/g, "?")} was ${shown(was)}, is ${shown(is)}`];
  });
}

/** A value for a message. Where it comes from a file it may be anything. */
function shown(value: unknown): string {
  return value === undefined ? "none" : JSON.stringify(value).slice(0, VALUE_LENGTH);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Of rows as a model sees them: ids that it does not know are all the same. */
function hashOfRows({ labels, rowPtr, features, values }: Dataset, unknown: number): string {
  const hash = new Hash().add(labels).add(rowPtr).add(features, unknown);
  return (values === null ? hash : hash.add(values)).digest();
}

/** Two hashes of 32 bits with different seeds, over arrays one after the other. */
class Hash {
  readonly #hashes = [new XxHash32(0), new XxHash32(1)];
  readonly #block = new Uint32Array(BLOCK_WORDS);

  /** @param most larger words count as this */
  add({ buffer, byteOffset, length }: Float32Array | Uint32Array, most?: number): this {
    const words = new Uint32Array(buffer, byteOffset, length);
    const block = this.#block;
    for (let at = 0; at < length; at += BLOCK_WORDS) {
      const count = Math.min(BLOCK_WORDS, length - at);
      // A copy: loops over buffers that can shrink are slow.
      block.set(words.subarray(at, at + count));
      if (most !== undefined) for (let i = 0; i < count; i++) if (block[i]! > most) block[i] = most;
      const end = Math.ceil(count / 4) * 4;
      block.fill(0, count, end);
      for (const hash of this.#hashes) hash.update(block.subarray(0, end));
    }
    return this;
  }

  digest(): string {
    return this.#hashes.map((hash) => hash.digest().toString(16).padStart(8, "0")).join("");
  }
}
