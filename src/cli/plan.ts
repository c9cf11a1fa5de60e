import { totalmem } from "node:os";
import type { ModelConfig, TrainConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";
import { IdSet } from "../data/id-set.js";
import { IfmError } from "../errors.js";
import { layoutOf } from "../model/layout.js";
import { createTrainer, type TrainerOptions } from "../train/trainer.js";
import type { FitData, Progress, StartEvent } from "../train/types.js";
import { bytes, columns, count, duration } from "./format.js";

/** Most bytes of a WebAssembly memory: 4 GiB but for the last page. */
const LINEAR_BYTES = 65535 * 65536;
/** Numbers that an optimizer keeps of each parameter. */
const STATES = { sgd: 0, momentum: 1, adagrad: 1, adam: 2, ftrl: 2 } as const;
/** Seconds of training that an estimate of its time is made of. */
const PROBE_SECONDS = 0.3;

/** What a training needs, in bytes. docs/MEMORY.md has what the parts are. */
export interface Need {
  weights: number;
  optimizerState: number;
  /** The training rows in linear memory. */
  rows: number;
  /** What a batch needs; estimated, to a few percent, until the memory is there. */
  work: number;
  /** All of the above. */
  linear: number;
  /** All rows, as they were read. */
  data: number;
  /** The best weights so far. */
  bestWeights: number;
  /** A copy of weights and optimizer state to go back to, with `--on-divergence retry`. */
  lastGood: number;
  total: number;
}

/** What `--plan` prints. */
export interface Plan {
  start: StartEvent;
  need: Need;
  /** Bytes of memory that the machine has, or this process may have. */
  machine: number;
  /** Most bytes of a checkpoint on disk. */
  checkpoint: number;
  /** Estimates, without the time that evaluation takes. */
  rowsPerSecond: number;
  secondsPerEpoch: number;
  /** When training does not end early. */
  seconds: number;
}

/** What a training will need, from sizes alone. For `bpr` with drawn rows it is less than that: they are not counted. */
export function needOf(config: ModelConfig, train: TrainConfig, data: FitData, retries = false): Need {
  const { table, bytes: weights, rowFloats } = layoutOf(config);
  const { rows, features, values, maxSlots } = data.train;
  const n = config.features;
  const isFM = config.model === "fm";
  const fields = config.fieldOfSlot.length;
  const batch = Math.min((config.loss === "bpr" ? 2 : 1) * train.batchSize, rows);
  const longest = isFM ? maxSlots : fields;
  const record = 4 * rowFloats;
  // The table of docs/MEMORY.md, without what is small.
  const touched = 8 * Math.min(batch * longest, n) + 8 * batch * longest + 4 * (n + 1);
  const scored = isFM ? record * 4096 + 8 * 65536 : 8 * 4096 * fields;
  const sums = isFM && batch > 4096 ? record * batch : 0;
  const perSlot = isFM ? 0 : record * batch * fields;
  const perRow = isFM && config.batchNorm ? 2 * record * batch : 0;
  // Dense gradients: a part for each chunk of rows, fewer and longer ones where they would be large.
  const chunk = isFM ? 16 : table + 2 * rowFloats * fields * (fields - 1);
  const chunks = Math.ceil(batch / Math.max(64, Math.ceil(batch / Math.max(1, Math.floor(8e6 / chunk)))));
  const work = touched + scored + sums + perSlot + perRow + chunks * chunk + 3 * table;
  const need = {
    weights,
    optimizerState: STATES[train.optimizer] * weights,
    rows: 12 * rows + (values === null ? 4 : 8) * features.length,
    work,
    data: [data.train, data.validation, data.test].reduce((sum, set) => sum + bytesOf(set), 0),
    bestWeights: weights,
    lastGood: retries ? (1 + STATES[train.optimizer]) * weights : 0,
  };
  const linear = need.weights + need.optimizerState + need.rows + need.work;
  return { ...need, linear, total: linear + need.data + need.bestWeights + need.lastGood };
}

function bytesOf(set: Dataset | undefined): number {
  if (set === undefined) return 0;
  const { labels, rowPtr, features, values } = set;
  return labels.byteLength + rowPtr.byteLength + features.byteLength + (values?.byteLength ?? 0);
}

/** Bytes of memory that this process may have: those of the machine, or of the container that it is in. */
export function machineMemory(): number {
  const limit = process.constrainedMemory?.() ?? 0;
  // Without a limit it is 0, or a number that no machine has.
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/**
 * Refuses a training that cannot fit, before memory is taken and time is lost.
 *
 * @param machine bytes that there are
 * @throws IfmError IFM_MEMORY with the numbers and what to change
 */
export function refuseTooLarge(config: ModelConfig, need: Need, data: FitData, machine = machineMemory()): void {
  const { model, features } = config;
  const tooLong = need.linear > LINEAR_BYTES;
  if (!tooLong && need.total <= machine) return;
  const parts = `weights ${bytes(need.weights)}, optimizer state ${bytes(need.optimizerState)}, training rows ${bytes(need.rows)}, work space ${bytes(need.work)}`;
  const who = `the ${model} model (${count(features)} features, ${count(config.factors)} factors)`;
  const message = tooLong
    ? `${who} needs ${bytes(need.linear)} of WebAssembly memory, expected at most ${bytes(LINEAR_BYTES)}: ${parts}`
    : `${who} needs ${bytes(need.total)}, this machine has ${bytes(machine)}: ${parts}, ` +
      `rows as they were read ${bytes(need.data)}, best weights so far ${bytes(need.bestWeights)}` +
      (need.lastGood > 0 ? `, state to go back to ${bytes(need.lastGood)}` : "");
  throw new IfmError("IFM_MEMORY", message, { hint: whatToChange(need, features, data) });
}

/** What to change first: what most of the memory is for. */
function whatToChange(need: Need, features: number, { train }: FitData): string {
  const tables = need.weights + need.optimizerState + need.bestWeights + need.lastGood;
  if (tables < need.total / 2) {
    return need.work > need.rows + need.data
      ? "a smaller --batch-size, or fewer --factors, needs less work space"
      : "train on a part of the rows, and go on with --init from the model of the part before";
  }
  const { length } = train.features;
  // Not worth the search where every id may occur.
  const different = length < features / 2 || features > 1e6 ? differentIds(train) : features;
  if (different < features / 2) {
    const largest =
      features === train.featureCount ? `the largest id is ${count(features - 1)}` : "--features is large";
    return `${largest}, but only ${count(different)} ids occur: number the features without gaps, for the tables have a row for each`;
  }
  const state = need.optimizerState > 0 ? ", and --optimizer sgd no optimizer state" : "";
  return `fewer --factors need less${state}; --features N leaves out ids from N on`;
}

function differentIds({ features, featureCount }: Dataset): number {
  const seen = new IdSet(featureCount);
  for (const id of features) seen.add(id);
  return seen.size;
}

/** Makes everything ready, trains for a moment, and says what training would take. Nothing is kept. */
export async function planTraining(options: Omit<TrainerOptions, "signal" | "onProgress">): Promise<Plan> {
  const stop = new AbortController();
  const started = performance.now();
  let rowsPerSecond = 0;
  let rows = 0;
  const trainer = await createTrainer({
    ...options,
    signal: stop.signal,
    onProgress: (progress: Progress) => {
      if (progress.phase !== "train") return;
      rowsPerSecond = progress.rowsPerSecond;
      rows = progress.totalRows;
      if (performance.now() - started > 1000 * PROBE_SECONDS) stop.abort();
    },
  });
  try {
    for await (const event of trainer) {
      if (event.event !== "epoch") continue;
      rowsPerSecond = event.rowsPerSecond;
      rows = event.rowsPerSecond * event.seconds;
      if (performance.now() - started > 1000 * PROBE_SECONDS) break;
    }
    const { start } = trainer;
    const guess = needOf(start.model, start.train, options.data, options.onDivergence === "retry");
    const work = Math.max(0, start.memoryBytes - guess.weights - guess.optimizerState - guess.rows);
    const linear = start.memoryBytes;
    const secondsPerEpoch = rowsPerSecond > 0 ? rows / rowsPerSecond : 0;
    return {
      start,
      need: { ...guess, work, linear, total: linear + guess.data + guess.bestWeights + guess.lastGood },
      // Of labels of two values, there is a score for each row.
      checkpoint:
        guess.weights + guess.optimizerState + guess.bestWeights + guess.lastGood + 4 * options.data.train.rows,
      machine: machineMemory(),
      rowsPerSecond,
      secondsPerEpoch,
      seconds: secondsPerEpoch * start.train.epochs,
    };
  } finally {
    trainer.dispose();
  }
}

/** A plan for people. */
export function describePlan({ start, need, machine, checkpoint, ...time }: Plan): string {
  const { model, train, rows } = start;
  const sets = (["train", "validation", "test"] as const)
    .filter((set) => rows[set] !== undefined)
    .map((set) => `${count(rows[set] ?? 0)} ${set === "train" ? "training" : set}`);
  const size = (title: string, value: number) => [title, bytes(value)];
  const sizes = [
    size("weights", need.weights),
    size(`optimizer state (${train.optimizer})`, need.optimizerState),
    size("training rows", need.rows),
    size("work space of a batch", need.work),
    size("WebAssembly memory", need.linear),
    size("rows as they were read", need.data),
    size("best weights so far", need.bestWeights),
    ...(need.lastGood > 0 ? [size("state to go back to", need.lastGood)] : []),
    size("in all", need.total),
    size("this machine has", machine),
  ];
  const facts = [
    ["model", model.model],
    ["rows", sets.join(", ")],
    ["features", count(model.features)],
    ["parameters", count(start.parameters)],
  ];
  const { epochs } = train;
  const lines = [
    ...columns(facts),
    "",
    "memory",
    ...columns(sizes, [1]).map((line) => `  ${line}`),
    "",
    `disk: at most ${bytes(checkpoint)} for a checkpoint, of which two are kept, three for a moment`,
    "",
    `time, estimated from a moment of training, without evaluation`,
    ...columns([
      ["an epoch", `${duration(time.secondsPerEpoch)}, ${count(time.rowsPerSecond)} rows/s`],
      [`${count(epochs)} ${epochs === 1 ? "epoch" : "epochs"}`, `at most ${duration(time.seconds)}`],
    ]).map((line) => `  ${line}`),
    "",
    "nothing was written",
  ];
  return `${lines.join("\n")}\n`;
}

/** A plan for programs. */
export function planEvent({ start, need, machine, checkpoint, ...time }: Plan): object {
  const { model, rows, parameters, train } = start;
  return {
    event: "plan",
    model: model.model,
    rows,
    features: model.features,
    parameters,
    memoryBytes: need.linear,
    bytes: need,
    machineBytes: machine,
    checkpointBytes: checkpoint,
    epochs: train.epochs,
    estimate: time,
  };
}
