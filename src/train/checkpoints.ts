import { IfmError } from "../errors.js";
import {
  type Checkpoint,
  type CheckpointOptions,
  type CheckpointSource,
  checkpointError,
  encodeCheckpoint,
  openCheckpoint,
  type RunIdentity,
} from "./checkpoint-format.js";
import type { LastGood } from "./divergence.js";
import type { EarlyStopping } from "./early-stopping.js";
import { type BitOptions, checkIdentity, identityOf, runOf } from "./identity.js";
import type { Pass } from "./pass.js";
import type { Arrays, FitData, Kept, Position } from "./types.js";

/** Seconds between two checkpoints when nothing was said. */
const DEFAULT_SECONDS = 300;

/** The parts of a training that change. */
export interface Changing {
  pass: Pass;
  stopping: EarlyStopping;
  kept: Kept;
  lastGood: LastGood | undefined;
}

interface Options extends CheckpointOptions {
  onWarning?: ((text: string) => void) | undefined;
}

/** Takes checkpoints of a training, stores them when it is time, and goes on from one. Loaded when they are wanted. */
export class Checkpoints {
  readonly #identity: RunIdentity;
  readonly #run: string;
  readonly #data: FitData;
  readonly #train: BitOptions["train"];
  readonly #changing: Changing;
  readonly #options: Options;
  /** What was stored last, and when. */
  #stored = "";
  #storedAt = performance.now();
  #failed = false;

  /** To be made before the first batch. */
  constructor(options: BitOptions, data: FitData, changing: Changing, checkpoints: Options) {
    this.#identity = identityOf(options, data, changing.pass.arrays().weights as Float32Array);
    this.#run = runOf(this.#identity);
    this.#data = data;
    this.#train = options.train;
    this.#changing = changing;
    this.#options = { ...checkpoints, every: checkEvery(checkpoints.every) };
  }

  /** The training as it is. */
  take(retries: number): Checkpoint {
    if (this.#changing.pass.diverged) throw new IfmError("IFM_USAGE", "checkpoint: training has diverged");
    const { pass, stopping, kept, lastGood } = this.#changing;
    const position = { ...pass.position };
    const arrays: Arrays = pass.arrays();
    // At the end of the best epoch they are the same.
    if (kept.weights && !(kept.steps === position.steps && position.row === 0)) arrays.best = kept.weights;
    const isHere = lastGood?.position?.steps === position.steps && lastGood.position.row === position.row;
    const good = lastGood?.position && !isHere ? { position: lastGood.position, ...lastGood.mark } : undefined;
    if (good) {
      for (const [name, array] of Object.entries(lastGood!.arrays)) arrays[`good.${name}`] = array;
      if (lastGood!.best) arrays["good.best"] = lastGood!.best;
    }
    const { weights: _weights, ...rest } = kept;
    const header = {
      run: this.#run,
      identity: this.#identity,
      position,
      retries,
      stopping: { best: stopping.best, bestEpoch: stopping.bestEpoch },
      kept: rest,
      ...(good ? { good } : {}),
    };
    const { bytes, parts } = encodeCheckpoint(header, arrays);
    const now = () => `${pass.position.steps} ${pass.position.epochs}`;
    const then = now();
    const checked = function* () {
      for (const part of parts()) {
        if (now() !== then) throw new IfmError("IFM_USAGE", "checkpoint: read after training has gone on");
        yield part;
      }
    };
    return {
      run: this.#run,
      epochs: position.epochs,
      row: position.row,
      steps: position.steps,
      retries,
      bytes,
      parts: checked,
      toBytes() {
        const out = new Uint8Array(bytes);
        let at = 0;
        for (const part of checked()) {
          out.set(part, at);
          at += part.length;
        }
        return out;
      },
    };
  }

  /** Stores a checkpoint if it is time for one. */
  writeIfDue(retries: number): Promise<void> | undefined {
    const { seconds = Number.POSITIVE_INFINITY, steps, epochs } = this.#options.every!;
    const { position } = this.#changing.pass;
    const isDue =
      (steps !== undefined && position.steps % steps === 0) ||
      (epochs !== undefined && position.row === 0 && position.epochs % epochs === 0) ||
      performance.now() - this.#storedAt >= 1000 * seconds;
    return isDue ? this.write(retries) : undefined;
  }

  /** Stores a checkpoint, unless this one is stored. A failure ends nothing. */
  async write(retries: number): Promise<void> {
    const { write, onWarning } = this.#options;
    const { epochs, row, steps } = this.#changing.pass.position;
    const place = `${epochs} ${row} ${steps} ${retries}`;
    if (!write || place === this.#stored) return;
    try {
      await write(this.take(retries));
      this.#stored = place;
      this.#failed = false;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (!this.#failed) onWarning?.(`no checkpoint was written: ${why}; training goes on, and tries again`);
      this.#failed = true;
    }
    this.#storedAt = performance.now();
  }

  /**
   * Makes the training what it was.
   *
   * @returns how often the learning rate was halved
   * @throws IfmError IFM_MODEL: damaged, or of other data or options
   */
  async load(source: CheckpointSource): Promise<number> {
    const file = source instanceof Uint8Array ? {} : source;
    const { header, read } = await openCheckpoint(source);
    checkIdentity(header.identity, this.#identity, this.#data, file);
    const { pass, stopping, kept, lastGood } = this.#changing;
    const { position, good, retries } = header;
    const lengths = new Map(header.arrays.map(({ name, length }) => [name, length]));
    const names = header.arrays.map(({ name }) => name);
    const live = Object.keys(pass.arrays());
    const fits =
      live.every((name) => names.includes(name)) &&
      new Set(names).size === names.length &&
      this.#isPlace(position) &&
      (good === undefined ||
        (this.#isPlace(good.position) &&
          live.every((name) => pass.canHave(name, lengths.get(`good.${name}`) ?? -1)) &&
          (!live.includes("positives") ||
            lengths.get("good.positives")! + lengths.get("good.negatives")! === good.position.row) &&
          good.steps <= good.position.steps &&
          names.includes("good.best") === (good.steps !== good.position.steps))) &&
      (names.includes("best") || header.kept.steps === position.steps) &&
      (header.kept.event === undefined ? position.epochs === 0 : header.kept.event.epoch <= position.epochs) &&
      header.stopping.bestEpoch <= position.epochs &&
      retries <= 1000;
    if (!fits) throw checkpointError("damaged: what it holds does not fit together", file);
    const { epochs } = this.#train;
    if (position.epochs > epochs || (position.epochs === epochs && position.row > 0)) {
      const done = position.row > 0 ? position.epochs + 1 : position.epochs;
      throw checkpointError(
        `has ${position.row > 0 ? "begun" : "done"} ${done} epochs, epochs is ${epochs}`,
        file,
        "more --epochs",
      );
    }

    const length = pass.arrays().weights!.length;
    await read((name, count) => {
      if (live.includes(name)) return pass.room(name, count) ?? new Float32Array(0);
      if (name === "best") {
        kept.weights = new Float32Array(length);
        return kept.weights;
      }
      if (!lastGood || !good || !name.startsWith("good.")) return undefined;
      if (name === "good.best") {
        lastGood.best = new Float32Array(length);
        return lastGood.best;
      }
      return live.includes(name.slice(5)) ? lastGood.room(name.slice(5), count) : undefined;
    });
    const { positives, negatives } = pass.arrays();
    if (positives && positives.length + negatives!.length !== position.row) {
      throw checkpointError("damaged: its scores are not those of the rows", file);
    }
    pass.position = { ...position };
    if (good && lastGood) {
      const { position: place, ...mark } = good;
      lastGood.position = place;
      lastGood.mark = mark;
    }
    if (!names.includes("best")) kept.weights = pass.arrays().weights!.slice() as Float32Array;
    Object.assign(kept, header.kept);
    stopping.resume(header.stopping.best, header.stopping.bestEpoch);
    this.#stored = `${position.epochs} ${position.row} ${position.steps} ${retries}`;
    this.#storedAt = performance.now();
    return retries;
  }

  /** Whether training can be there. */
  #isPlace({ epochs, row, steps, beta1, beta2, inOrder }: Position): boolean {
    const { rows, batchSize } = this.#changing.pass;
    const batches = (count: number) => Math.ceil(count / batchSize);
    return (
      (row === rows || row % batchSize === 0) &&
      row <= rows &&
      steps === epochs * batches(rows) + batches(row) &&
      beta1 >= 0 &&
      beta1 <= 1 &&
      beta2 >= 0 &&
      beta2 <= 1 &&
      inOrder <= rows
    );
  }
}

/** @throws IfmError IFM_USAGE */
function checkEvery(every: CheckpointOptions["every"] = {}): NonNullable<CheckpointOptions["every"]> {
  for (const [name, value] of Object.entries(every)) {
    const isKnown = name === "seconds" || name === "steps" || name === "epochs";
    const isRight = name === "seconds" ? value > 0 : Number.isSafeInteger(value) && value > 0;
    if (!isKnown || !isRight) {
      throw new IfmError(
        "IFM_USAGE",
        `checkpoint.every: expected seconds, steps or epochs above 0, got ${name} ${value}`,
      );
    }
  }
  return Object.keys(every).length === 0 ? { seconds: DEFAULT_SECONDS } : every;
}
