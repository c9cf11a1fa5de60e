import type { Loss, TrainConfig } from "../config.js";
import { type Dataset, placeOf } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import type { TensorSpec } from "../model/layout.js";
import type { Session } from "../wasm/session.js";
import type { EarlyStopping } from "./early-stopping.js";
import type { LabelRange } from "./metrics.js";
import type { Pass } from "./pass.js";
import type { Arrays, GoodMark, Kept, Position, RollbackEvent } from "./types.js";

/** How often the learning rate is halved when nothing was said. */
const DEFAULT_RETRIES = 3;
/** Mean logistic loss of scores that are wrong by 10, a guess of a half has 0.69. */
const MOST_LOG_LOSS = 10;
/** Features that are named. */
const NAMED = 3;
/** Values and weights from here on are worth a word. */
const LARGE = 1e4;
/** Rows of a table that are looked at together. */
const ROWS_AT_ONCE = 4096;

/**
 * The state to go back to: that at the end of the best sound epoch, or where training has begun: at the start, or at a
 * checkpoint that has no such state. The last epoch's would not do: its weights may be finite and ruined already.
 */
export class LastGood {
  /** How often it is gone back to. */
  readonly most: number;
  position: Position | undefined;
  readonly arrays: Arrays = {};
  /** What was best there. */
  mark: GoodMark = { event: undefined, retries: 0, steps: 0, best: Number.POSITIVE_INFINITY, bestEpoch: 0 };
  /** The weights that were best there, if not those of `arrays`: where a checkpoint was gone on from. */
  best: Float32Array | undefined;
  readonly #stopping: EarlyStopping;

  /** @throws IfmError IFM_USAGE */
  constructor(onDivergence: string, most = DEFAULT_RETRIES, stopping: EarlyStopping) {
    if (onDivergence !== "retry") {
      throw new IfmError("IFM_USAGE", `onDivergence: expected one of stop, retry, got "${onDivergence}"`);
    }
    if (!Number.isInteger(most) || most < 1 || most > 100) {
      throw new IfmError("IFM_USAGE", `divergenceRetries: expected a whole number from 1 to 100, got ${most}`);
    }
    this.most = most;
    this.#stopping = stopping;
  }

  /** Keeps where training begins, unless there is something to go back to. */
  begin(pass: Pass, kept: Kept): void {
    if (!this.position) this.keep(pass, kept);
  }

  /**
   * Keeps the end of an epoch that was the best so far, if it was also better than any guess within the range of the labels: RMSE,
   * of scores that are clipped to that range, does not tell ruined weights from fresh ones.
   */
  keepIfSound(pass: Pass, kept: Kept, meanLoss: number, loss: Loss, { labelMin, labelMax }: LabelRange): void {
    const most = loss === "squared" ? Math.max(1, labelMax - labelMin) ** 2 : MOST_LOG_LOSS;
    if (meanLoss <= most) this.keep(pass, kept);
  }

  /** @param kept what the model would be at this moment */
  keep(pass: Pass, { weights, ...kept }: Kept): void {
    this.position = { ...pass.position };
    this.mark = { ...kept, best: this.#stopping.best, bestEpoch: this.#stopping.bestEpoch };
    this.best = kept.steps === this.position.steps ? undefined : weights!.slice();
    for (const [name, array] of Object.entries(pass.arrays())) this.room(name, array.length).set(array);
  }

  /** Room for so many numbers of one of the arrays. */
  room(name: string, length: number): Float32Array | Float64Array {
    const found = this.arrays[name];
    if (found?.length === length) return found;
    const made = name === "sums" ? new Float64Array(length) : new Float32Array(length);
    this.arrays[name] = made;
    return made;
  }

  restore(pass: Pass, kept: Kept): void {
    pass.position = { ...this.position! };
    const { best, bestEpoch, ...mark } = this.mark;
    this.#stopping.resume(best, bestEpoch);
    for (const [name, array] of Object.entries(this.arrays)) pass.room(name, array.length)!.set(array);
    kept.weights!.set(this.best ?? (this.arrays.weights as Float32Array));
    Object.assign(kept, mark);
  }
}

/** A training that has diverged. */
interface Diverged {
  session: Session;
  pass: Pass;
  /** What training visits, and how many of them are the file's; what follows are copies with another item. */
  rows: Dataset;
  original: number;
  train: TrainConfig;
  lastGood: LastGood | undefined;
  kept: Kept;
  retries: number;
}

/**
 * Goes back to the last good state, with half the learning rate.
 *
 * @throws IfmError IFM_DIVERGED when that is not wanted, or not any more
 */
export function goBack({
  session,
  pass,
  rows,
  original,
  train,
  lastGood,
  kept,
  retries: before,
}: Diverged): RollbackEvent {
  const hint = lastGood
    ? "try a smaller --lr or --clip-norm; the weights of a checkpoint may be ruined already: take the one before it, or begin anew"
    : "try a smaller --lr, --clip-norm or --on-divergence retry, or look for very large values with ifm-wasm check";
  const error = explainDivergence(session, pass, rows, original, train.lr / 2 ** before, hint);
  const { epochs, row } = pass.position;
  if (!lastGood || before >= lastGood.most) throw error;
  const lr = train.lr / 2 ** (before + 1);
  lastGood.restore(pass, kept);
  pass.batchLoss = 0;
  session.clearDiverged();
  session.learningRate = lr;
  // FTRL's z stands for a weight at one learning rate: it is made anew from the weights.
  if (train.optimizer === "ftrl") session.initialiseState();
  return {
    event: "rollback",
    epoch: epochs + 1,
    batch: Math.ceil(Math.min(row + 1, pass.rows) / pass.batchSize),
    to: pass.position.epochs,
    ...(pass.position.row > 0 ? { row: pass.position.row } : {}),
    lr,
    retry: before + 1,
    retries: lastGood.most,
    message: error.message,
  };
}

/** A feature of a row of the batch. */
interface Slot {
  row: number;
  feature: number;
  value: number;
}

/**
 * Finds out what a batch has diverged of. When its loss is not finite, its step was not made: the weights are those that its
 * scores come from.
 */
function explainDivergence(
  session: Session,
  pass: Pass,
  rows: Dataset,
  original: number,
  lr: number,
  hint: string,
): IfmError {
  const { epochs, row: first } = pass.position;
  const epoch = epochs + 1;
  const isOver = first >= pass.rows;
  const batch = Math.ceil(Math.min(first + 1, pass.rows) / pass.batchSize);
  const count = isOver ? 0 : Math.min(pass.batchSize, pass.rows - first);
  const order = Array.from(session.trainingRows().order.subarray(first, first + count));
  const broken = brokenTensors(session);
  const where = isOver ? `at epoch ${epoch}` : `at epoch ${epoch}, batch ${batch}`;

  let what: string;
  let row: number | undefined;
  if (!isOver && !Number.isFinite(pass.batchLoss)) {
    const scores = session.batchScores(count);
    const bad = order.filter((_, b) => !Number.isFinite(scores[b]));
    row = rowWithLargestValue(session, bad);
    const of =
      row === undefined
        ? ""
        : `: the scores of ${bad.length} of ${count} rows are not finite${largestOf(session, row)}`;
    what = `the loss became ${pass.batchLoss} ${where} (lr ${lr})${of}`;
  } else if (broken.length > 0) {
    const table = broken.find(({ features }) => features.length > 0);
    const has = (r: number) => slotsOf(session, r).some(({ feature }) => table?.features.includes(feature));
    row = rowWithLargestValue(session, order.filter(has));
    const largest = row === undefined ? "" : largestOf(session, row);
    what = `the weights stopped being finite ${where} (lr ${lr}): ${broken.map(describe).join("; ")}${largest}`;
  } else if (isOver) {
    what = `a metric stopped being finite ${where} (lr ${lr}): weights are finite, scores are not`;
  } else {
    row = rowWithLargestValue(session, order);
    const largest = row === undefined ? "" : largestOf(session, row);
    what = `a gradient became too large for a 32-bit float ${where} (lr ${lr})${largest}`;
  }
  return new IfmError("IFM_DIVERGED", `training diverged: ${what}`, {
    ...(row === undefined || row >= original ? {} : placeOf(rows, row)),
    hint,
  });
}

interface Broken {
  spec: TensorSpec;
  /** Numbers that are not finite. */
  count: number;
  /** Features whose rows they are in, of a table: the first ones. */
  features: number[];
}

/** Tensors with numbers that are not finite. */
function brokenTensors(session: Session): Broken[] {
  return session.layout.tensors.flatMap((spec) => {
    let count = 0;
    const features = new Set<number>();
    for (let from = 0; from < spec.rows; from += ROWS_AT_ONCE) {
      session.read(spec, from, ROWS_AT_ONCE).forEach((value, i) => {
        if (Number.isFinite(value)) return;
        count++;
        if (spec.byFeature && features.size <= NAMED) features.add(from + Math.floor(i / spec.cols));
      });
    }
    return count === 0 ? [] : [{ spec, count, features: [...features] }];
  });
}

function describe({ spec, count, features }: Broken): string {
  const numbers = `${count} of ${spec.rows * spec.cols} numbers of ${spec.name}`;
  if (features.length === 0) return numbers;
  const more = features.length > NAMED ? ", …" : "";
  return `${numbers}, of feature ${features.slice(0, NAMED).join(", ")}${more}`;
}

/** The slots of a row, without features that the model does not know. */
function slotsOf(session: Session, row: number): Slot[] {
  const { features, values, unknown } = session.trainingRows();
  const { rowPtr } = session.rowData();
  return Array.from({ length: rowPtr[row + 1]! - rowPtr[row]! }, (_, i) => {
    const at = rowPtr[row]! + i;
    return { row, feature: features[at]!, value: values?.[at] ?? 1 };
  }).filter(({ feature }) => feature < unknown);
}

/** The most suspicious of some rows; of equals the first. */
function rowWithLargestValue(session: Session, rows: number[]): number | undefined {
  let found = rows[0];
  let most = 0;
  for (const row of rows) {
    const largest = slotsOf(session, row).reduce((high, { value }) => Math.max(high, Math.abs(value)), 0);
    if (largest > most) [found, most] = [row, largest];
  }
  return found;
}

/** What is largest in a row, if anything is large: a value, or a weight of one of its features. */
function largestOf(session: Session, row: number): string {
  let text = "";
  let most = LARGE;
  for (const { feature, value } of slotsOf(session, row)) {
    if (Math.abs(value) > most) {
      most = Math.abs(value);
      text = `feature ${feature} has the value ${value.toPrecision(3)}`;
    }
    for (const spec of session.layout.tensors.filter(({ byFeature }) => byFeature)) {
      let weight = 0;
      for (const w of session.read(spec, feature, 1)) weight = Math.max(weight, Math.abs(w));
      if (weight > most && Number.isFinite(weight)) {
        most = weight;
        text = `${spec.name} of feature ${feature} has reached ${weight.toPrecision(3)}`;
      }
    }
  }
  return text === "" ? "" : `; in this row ${text}`;
}
