import type { Loss, ModelKind } from "../config.js";
import type { EpochEvent, Metrics, Progress, RollbackEvent, StartEvent } from "../train/types.js";
import { type Colors, errorColors } from "./colors.js";
import { lossCurve } from "./curve.js";
import { shortPath } from "./files.js";
import { bytes, columns, count, duration, loss, metric, percent, plain } from "./format.js";
import type { Io } from "./io.js";
import { ProgressBar } from "./progress.js";

/** Where the rows of a training come from. */
export interface RunFiles {
  train: string;
  validation?: string;
  test?: string;
  init?: string;
  /** The checkpoint that training goes on from. */
  resume?: string;
}

/** How long it took until the first batch. */
export interface Ready {
  /** From the start of the process. */
  secondsToFirstBatch: number;
  /** Of them, to read the rows. */
  readSeconds: number;
  /** Whether all rows came from caches. */
  fromCache: boolean;
}

/** How a training ended. */
export interface RunEnd {
  reason: "epochs" | "early-stop" | "aborted" | "diverged";
  epochs: number;
  seconds: number;
  /** The epoch whose weights the model holds; undefined when no epoch was completed. */
  best: EpochEvent | undefined;
  /** Where the model was saved, and where a copy for `--pretrain` is. */
  output?: string;
  pretrain?: string;
  /** Bytes of the weights. */
  bytes?: number;
}

/** Metrics of the same validation rows by the constant guess, by the FM (if one was trained) and by the model. */
export interface Comparison {
  rows: number;
  constant: Metrics;
  fm?: Metrics;
}

/** Whoever shows a training to the user. */
export interface TrainReport {
  start(start: StartEvent, files: RunFiles, ready?: Ready): void;
  /** Given right after `start`. */
  baseline(comparison: Comparison): void;
  progress(progress: Progress): void;
  epoch(event: EpochEvent): void;
  /** Training has diverged, and goes on from before. */
  rollback(event: RollbackEvent): void;
  /** The user wants the training to end; `end` follows. */
  interrupted(): void;
  end(end: RunEnd): void;
}

/** Shows nothing: for a training that is only a step of another. */
export const SILENT: TrainReport = {
  start() {},
  baseline() {},
  progress() {},
  epoch() {},
  rollback() {},
  interrupted() {},
  end() {},
};

/** What each kind of model is called. */
export const MODEL_NAMES: Readonly<Record<ModelKind, string>> = {
  fm: "factorization machine",
  afm: "attentional FM",
  ifm: "Interaction-aware FM (Hong et al. 2019)",
  inn: "Interaction-aware neural network",
  deepifm: "DeepIFM",
};

/** The metric that early stopping watches, by loss, and its name. */
export const MAIN_METRIC = {
  squared: { key: "rmse", title: "RMSE" },
  logistic: { key: "logloss", title: "log loss" },
  bpr: { key: "gauc", title: "GAUC" },
} as const satisfies Record<Loss, { key: keyof Metrics; title: string }>;

type MainMetric = (typeof MAIN_METRIC)[Loss]["key"];

/** Shows a training to a person: settings, a table of epochs with a bar below it, a curve, a summary; all on stderr. */
export class HumanReport implements TrainReport {
  readonly #io: Io;
  readonly #title: string;
  readonly #colors: Colors;
  #bar: ProgressBar | undefined;
  readonly #epochs: EpochEvent[] = [];
  #kind: ModelKind = "fm";
  #loss: Loss = "squared";
  #table: EpochTable | undefined;
  #comparison: Comparison | undefined;

  /** @param title Heading before the settings; empty for none. */
  constructor(io: Io, title: string) {
    this.#io = io;
    this.#title = title;
    this.#colors = errorColors(io);
    this.#bar = io.err.isTerminal && io.env.TERM !== "dumb" ? new ProgressBar(io.err.stream) : undefined;
  }

  start(start: StartEvent, files: RunFiles, ready?: Ready): void {
    this.#kind = start.model.model;
    this.#loss = start.model.loss;
    this.#table = new EpochTable(start, this.#colors);
    const heading = this.#title === "" ? "" : `${this.#title}: `;
    this.#say(`${this.#colors.bold(heading + this.#kind)}, ${MODEL_NAMES[this.#kind]}`);
    for (const line of describeStart(start, files, ready)) this.#say(`  ${line}`);
    this.#say("");
    this.#say(this.#table.header());
  }

  baseline(comparison: Comparison): void {
    this.#comparison = comparison;
  }

  progress(progress: Progress): void {
    this.#bar?.show(progress);
  }

  epoch(event: EpochEvent): void {
    this.#bar?.hide();
    this.#epochs.push(event);
    if (this.#table !== undefined) this.#say(this.#table.row(event));
  }

  rollback(): void {
    this.#bar?.hide();
  }

  interrupted(): void {
    this.#bar?.hide();
    this.#bar = undefined;
    this.#say("interrupted: saving the best epoch; once more to leave at once");
  }

  end(end: RunEnd): void {
    this.#bar?.hide();
    const { key, title } = MAIN_METRIC[this.#loss];
    const curve = lossCurve(this.#epochs, key, title, this.#io.err.columns, this.#colors);
    if (curve !== "") this.#say(`\n${curve}`);
    this.#say("");
    for (const line of describeEnd(end, key, title)) this.#say(line);
    if (this.#comparison !== undefined && end.best?.validation !== undefined) {
      this.#say("");
      for (const line of this.#compare(this.#comparison, end.best.validation)) this.#say(line);
    }
  }

  /** Constant, FM and the model side by side. */
  #compare({ rows, constant, fm }: Comparison, model: Metrics): string[] {
    const keys = [MAIN_METRIC[this.#loss].key, "auc", "accuracy"] as const;
    const titles = { rmse: "RMSE", logloss: "log loss", gauc: "GAUC", auc: "AUC", accuracy: "accuracy" };
    const shown = keys.filter((key) => model[key] !== undefined);
    const cells = (metrics: Metrics) => shown.map((key) => metric(metrics[key]));
    const table = [
      [`${count(rows)} validation rows`, ...shown.map((key) => titles[key])],
      ["  always the same guess", ...cells(constant)],
      ...(fm === undefined ? [] : [["  fm", ...cells(fm)]]),
      [`  ${this.#kind}`, ...cells(model)],
    ];
    const lines = columns(
      table,
      keys.map((_, i) => i + 1),
      3,
    );
    return [this.#colors.bold(lines[0]), ...lines.slice(1)];
  }

  #say(line: string): void {
    this.#io.err.write(`${line}\n`);
  }
}

/** The settings of a training, one subject a line. */
function describeStart(start: StartEvent, files: RunFiles, ready: Ready | undefined): string[] {
  const { model, train } = start;
  const shape = [`K ${model.factors}`];
  if (model.model !== "fm") {
    shape.push(`A ${model.attentionFactors}`);
    if (model.model !== "afm") shape.push(`K_F ${model.fieldFactors}`);
    shape.push(model.activation, `τ ${plain(model.temperature)} on ${model.temperatureOn}`);
  }
  if (model.hidden.length > 0 && (model.model === "inn" || model.model === "deepifm")) {
    shape.push(`hidden ${model.hidden.join(", ")}`);
  }
  const l2 = Object.entries(train.l2).filter(([, weight]) => weight !== 0);
  const rules = [
    `${train.optimizer}, lr ${plain(train.lr)}`,
    `batch ${count(train.batchSize)}`,
    `keep ${(model.model === "fm" ? train.keep.slice(1) : train.keep).map(plain).join(", ")}`,
    ...l2.map(([group, weight]) => `λ ${group} ${plain(weight)}`),
    ...(train.clipNorm > 0 ? [`clip ${plain(train.clipNorm)}`] : []),
  ];
  // Without validation rows there is nothing that could stop improving.
  const patience = train.earlyStop > 0 && files.validation ? `, or ${train.earlyStop} without improvement` : "";
  const rows = (part: "train" | "validation" | "test") => `${count(start.rows[part] ?? 0)} rows`;
  const fields = model.model === "fm" ? "" : `, ${count(model.fields)} fields`;
  const subjects = [
    ["training", `${rows("train")}, ${count(model.features)} features${fields}, ${shortPath(files.train)}`],
    ...(files.validation === undefined
      ? []
      : [["validation", `${rows("validation")}, ${shortPath(files.validation)}`]]),
    ...(files.test === undefined ? [] : [["test", `${rows("test")}, ${shortPath(files.test)}`]]),
    ["model", shape.join(", ")],
    ["size", `${count(start.parameters)} parameters, ${bytes(start.memoryBytes)} of memory`],
    ["loss", describeLoss(start)],
    ["updates", rules.join(", ")],
    ["end", `after ${count(train.epochs)} ${train.epochs === 1 ? "epoch" : "epochs"}${patience}`],
    ["seed", String(train.seed)],
    ...(start.threads > 1 ? [["threads", String(start.threads)]] : []),
  ];
  if (start.init !== undefined) {
    const taken = start.init.taken.length === 0 ? "nothing" : start.init.taken.join(", ");
    subjects.push(["start from", `${files.init ?? "the FM"}: ${taken}`]);
  }
  if (start.resumed !== undefined) {
    const { epochs, row } = start.resumed;
    const rest = row > 0 ? ` and ${count(row)} rows` : "";
    subjects.push([
      "resumed",
      `after ${count(epochs)} ${epochs === 1 ? "epoch" : "epochs"}${rest}, ${shortPath(files.resume ?? "")}`,
    ]);
  }
  if (ready !== undefined) {
    const from = ready.fromCache ? ", from the cache" : "";
    const read = `rows read in ${duration(ready.readSeconds)}${from}`;
    subjects.push(["ready", `after ${duration(ready.secondsToFirstBatch)}, ${read}`]);
  }
  return columns(subjects);
}

function describeLoss({ model, train }: StartEvent): string {
  const { groupBy, itemFields, negatives } = train.bpr;
  if (model.loss !== "bpr") return `${model.loss}, ${train.reduction} over the batch`;
  const fields = (list: number[]) => `field${list.length === 1 ? "" : "s"} ${list.join(", ")}`;
  const others = itemFields.length === 0 ? "listed" : `drawn in ${fields(itemFields)}`;
  return `bpr, ${train.reduction} over the pairs, grouped by ${fields(groupBy)}, ${negatives} ${others} for each`;
}

function describeEnd(end: RunEnd, key: MainMetric, title: string): string[] {
  const reasons = {
    epochs: "",
    "early-stop": ", then no improvement",
    aborted: ", interrupted",
    diverged: ", then diverged",
  };
  const lines: string[] = [];
  if (end.best === undefined) {
    if (end.output === undefined) lines.push("no epoch was completed; nothing was saved");
  } else {
    const { train, validation, test } = end.best;
    const measured = validation === undefined ? { training: train, test } : { validation, test };
    const figures = Object.entries(measured)
      .filter(([, metrics]) => metrics !== undefined)
      .map(([name, metrics]) => `, ${name} ${title} ${metric(metrics?.[key])}`);
    // Without validation rows the last epoch is kept, whether it was the best or not.
    lines.push(
      `${end.best.best ? "best" : "last"} epoch: ${end.best.epoch} of ${end.epochs}${reasons[end.reason]}${figures.join("")}`,
    );
  }
  if (end.output !== undefined) {
    const size = end.bytes === undefined ? "" : `, ${bytes(end.bytes)}`;
    lines.push(`saved ${end.output}${size}, after ${duration(end.seconds)}`);
  }
  if (end.pretrain !== undefined) lines.push(`saved ${end.pretrain}, for --pretrain 1`);
  return lines;
}

/** What the user should know before the training goes on; shown whatever was asked not to be shown. */
export function startWarnings(
  start: StartEvent,
  slots: Partial<Record<"train" | "validation" | "test", number>>,
): string[] {
  const warnings = (start.init?.left ?? []).map(({ name, reason }) => `--init: ${name} was not taken: ${reason}`);
  for (const part of ["train", "validation", "test"] as const) {
    const text = unknownFeatures(start.unknownFeatures[part] ?? 0, slots[part] ?? 0);
    if (text !== "") warnings.push(`${part} rows: ${text}`);
  }
  return warnings;
}

/** A sentence on features that a model does not know; empty when it knows them all. */
export function unknownFeatures(unknown: number, slots: number): string {
  if (unknown === 0) return "";
  return `${count(unknown)} of ${count(slots)} features (${percent(unknown / slots)}) are unknown to the model and count as absent`;
}

/** A sentence on a training that has diverged and goes on. */
export function describeRollback({ message, to, row, lr, retry, retries }: RollbackEvent): string {
  const end = to === 0 ? "the start" : `the end of epoch ${to}`;
  const from = row === undefined ? end : `the checkpoint within epoch ${to + 1}`;
  return `${message}; goes on from ${from} with lr ${plain(lr)} (retry ${retry} of ${retries})`;
}

/** Writes a warning to stderr. */
export function warn(io: Io, text: string): void {
  io.err.write(`${errorColors(io).yellow("warning:")} ${text}\n`);
}

/** A column of the epoch table. */
interface Column {
  title: string;
  width: number;
  cell(event: EpochEvent): string;
}

/** Epochs as lines with columns that fit a terminal of 80 columns. */
export class EpochTable {
  readonly #columns: Column[];
  readonly #colors: Colors;

  constructor({ model, rows }: StartEvent, colors: Colors) {
    const { key, title } = MAIN_METRIC[model.loss];
    this.#colors = colors;
    this.#columns = [
      { title: "epoch", width: 5, cell: (e) => String(e.epoch) },
      { title: "loss", width: 9, cell: (e) => loss(e.loss) },
      { title: model.loss === "squared" ? `train ${title}` : "train", width: 10, cell: (e) => metric(e.train[key]) },
    ];
    if (rows.validation !== undefined) {
      this.#columns.push({ title: "validation", width: 10, cell: (e) => metric(e.validation?.[key]) });
      if (key === "logloss") this.#columns.push({ title: "AUC", width: 6, cell: (e) => metric(e.validation?.auc) });
    }
    if (rows.test !== undefined) this.#columns.push({ title: "test", width: 7, cell: (e) => metric(e.test?.[key]) });
    this.#columns.push(
      { title: "rows/s", width: 9, cell: (e) => count(e.rowsPerSecond) },
      { title: "time", width: 8, cell: (e) => duration(e.seconds) },
    );
  }

  header(): string {
    return this.#colors.dim(this.#line((column) => column.title));
  }

  row(event: EpochEvent): string {
    const line = this.#line((column) => column.cell(event));
    return event.best ? `${line} ${this.#colors.green("*")}` : line;
  }

  #line(text: (column: Column) => string): string {
    return this.#columns.map((column) => text(column).padStart(column.width)).join(" ");
  }
}
