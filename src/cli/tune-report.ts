import type { Loss, ModelKind } from "../config.js";
import type { Progress } from "../train/types.js";
import { epochsOf, type Rung, type TrialResult } from "../tune/halving.js";
import { type Dimension, type Space, type Trial, type TrialOptions, textOf } from "../tune/space.js";
import { VERSION } from "../version.js";
import { type Colors, errorColors } from "./colors.js";
import { shortPath } from "./files.js";
import { columns, count, duration, metric, plain } from "./format.js";
import type { Io } from "./io.js";
import { jsonLine } from "./json.js";
import type { TrainValues } from "./options.js";
import { ProgressBar } from "./progress.js";
import { MAIN_METRIC, MODEL_NAMES } from "./report.js";
import { optionWords } from "./tune-options.js";

/** What a study will do. */
export interface StudyPlan {
  readonly kind: ModelKind;
  readonly loss: Loss;
  readonly seed: number;
  readonly space: Space;
  /** What all trials have alike. */
  readonly held: TrainValues;
  readonly trials: readonly Trial[];
  readonly rungs: readonly Rung[];
  readonly files: { train: string; validation: string; init?: string; output?: string; study: string };
  readonly rows: { train: number; validation: number };
  /** Results that an earlier run has left. */
  readonly known: number;
}

/** How a study ended. */
export interface StudyEnd {
  readonly reason: "done" | "failed" | "aborted";
  /** The last result of each trial, best first. */
  readonly results: readonly TrialResult[];
  /** Trains the best again. */
  readonly command?: string;
  readonly output?: string;
}

/** Whoever shows a study to the user. */
export interface TuneReport {
  start(plan: StudyPlan): void;
  /** A rung begins. */
  rung(rung: number): void;
  progress(progress: Progress): void;
  result(result: TrialResult): void;
  /** The user wants the study to end; `end` follows. */
  interrupted(): void;
  end(end: StudyEnd): void;
}

/** Shows nothing. */
export const SILENT: TuneReport = {
  start() {},
  rung() {},
  progress() {},
  result() {},
  interrupted() {},
  end() {},
};

/** Tells a study to programs: one JSON object a line on stdout. */
export class JsonTuneReport implements TuneReport {
  readonly #io: Io;
  #key: (typeof MAIN_METRIC)[Loss]["key"] = "rmse";

  constructor(io: Io) {
    this.#io = io;
  }

  start({ kind, loss, seed, space, held, trials, rungs, files, rows }: StudyPlan): void {
    this.#key = MAIN_METRIC[loss].key;
    this.#write({
      event: "start",
      version: VERSION,
      model: kind,
      loss,
      metric: this.#key,
      seed,
      trials: trials.length,
      rungs,
      space,
      options: held,
      files,
      rows,
    });
  }

  rung(): void {}

  progress(): void {}

  interrupted(): void {}

  result(result: TrialResult): void {
    this.#write({ event: "trial", ...this.#withMetric(result) });
  }

  end({ reason, results, command, output }: StudyEnd): void {
    const best = reason === "done" ? this.#withMetric(results[0]) : null;
    this.#write({ event: "end", reason, best, command: command ?? null, output: output ?? null });
  }

  /** A result beside the figure that early stopping watches, as it is: the score of a GAUC is turned round. */
  #withMetric(result: TrialResult): object {
    return { ...result, metric: result.validation?.[this.#key] };
  }

  #write(event: object): void {
    this.#io.out.write(jsonLine(event));
  }
}

/** Trials that the table at the end shows. */
const SHOWN = 30;

/** Shows a study to a person: what is tried, each result with a bar below it, the trials by rank; all on stderr. */
export class HumanTuneReport implements TuneReport {
  readonly #io: Io;
  readonly #colors: Colors;
  readonly #bar: ProgressBar | undefined;
  #plan: StudyPlan | undefined;
  #table: TrialTable | undefined;
  #rung = 0;
  /** Lowest score of the running rung. */
  #lowest = Number.POSITIVE_INFINITY;
  /** Results of the running rung. */
  #count = 0;
  /** Epochs that the study has still to train. */
  #epochsLeft = 0;
  /** Of all results so far, for the speed. */
  #trained = { epochs: 0, seconds: 0 };

  constructor(io: Io) {
    this.#io = io;
    this.#colors = errorColors(io);
    this.#bar = io.err.isTerminal && io.env.TERM !== "dumb" ? new ProgressBar(io.err.stream) : undefined;
  }

  start(plan: StudyPlan): void {
    this.#plan = plan;
    this.#epochsLeft = epochsOf(plan.rungs).reduce((sum, epochs) => sum + epochs, 0);
    this.#table = new TrialTable(plan, this.#io.err.columns);
    this.#say(`${this.#colors.bold(`tune ${plan.kind}`)}, ${MODEL_NAMES[plan.kind]}`);
    for (const line of describePlan(plan)) this.#say(`  ${line}`);
  }

  rung(rung: number): void {
    const { rungs } = this.#plan as StudyPlan;
    this.#rung = rung;
    this.#lowest = Number.POSITIVE_INFINITY;
    this.#count = 0;
    this.#say(`\n${this.#colors.bold(`rung ${rung} of ${rungs.length}`)}: ${describeRung(rungs[rung - 1])}`);
    this.#say(this.#colors.dim(this.#table?.header() ?? ""));
  }

  progress(progress: Progress): void {
    const { rungs } = this.#plan as StudyPlan;
    const { epoch, rows, totalRows, rowsPerSecond } = progress;
    const { trials, epochs } = rungs[this.#rung - 1];
    const { epochs: trained, seconds } = this.#trained;
    const pace = trained > 0 ? seconds / trained : totalRows / rowsPerSecond;
    const done = Math.max(0, epoch - 1 + rows / totalRows - this.#epochsBefore());
    this.#bar?.show(progress, {
      label: `trial ${this.#count + 1}/${trials}, epoch ${epoch}/${epochs}`,
      rate: `  ETA ${duration(pace * (this.#epochsLeft - done))}`,
    });
  }

  result(result: TrialResult): void {
    const { rungs } = this.#plan as StudyPlan;
    this.#bar?.hide();
    this.#count++;
    this.#epochsLeft -= rungs[this.#rung - 1].epochs - this.#epochsBefore();
    this.#trained.epochs += result.epochs;
    this.#trained.seconds += result.seconds;
    const isLowest = result.score !== undefined && result.score < this.#lowest;
    if (isLowest) this.#lowest = result.score;
    this.#say(this.#table?.row(result, isLowest ? ` ${this.#colors.green("*")}` : "") ?? "");
  }

  interrupted(): void {
    this.#bar?.hide();
    this.#say("interrupted: the running trial is given up; once more to leave at once");
  }

  end({ reason, results, output }: StudyEnd): void {
    this.#bar?.hide();
    const plan = this.#plan as StudyPlan;
    if (reason === "aborted") this.#say(`the same command goes on from ${plan.files.study}`);
    else this.#sayTable(plan, results);
    if (reason === "done") {
      const [{ trial, epochs, bestEpoch, validation }] = results;
      const { key, title } = MAIN_METRIC[plan.loss];
      this.#say(
        `\nbest: trial ${trial}, validation ${title} ${metric(validation?.[key])}, epoch ${bestEpoch} of ${epochs}`,
      );
      if (output !== undefined) this.#say(`saved ${output}`);
      this.#say(`all results are in ${plan.files.study}; to train the best again:\n`);
    }
  }

  #sayTable(plan: StudyPlan, results: readonly TrialResult[]): void {
    const table = new TrialTable(plan, this.#io.err.columns, true);
    this.#say(`\n${this.#colors.bold("result")}`);
    this.#say(this.#colors.dim(table.header()));
    for (const [i, result] of results.slice(0, SHOWN).entries()) this.#say(table.row(result, "", i + 1));
    if (results.length > SHOWN) this.#say(`… and ${results.length - SHOWN} more`);
  }

  /** Epochs that a trial of the running rung has behind it. */
  #epochsBefore(): number {
    return this.#plan?.rungs[this.#rung - 2]?.epochs ?? 0;
  }

  #say(line: string): void {
    this.#io.err.write(`${line}\n`);
  }
}

/** What a study will do, one subject a line. */
function describePlan({ seed, space, held, trials, rungs, files, rows, known }: StudyPlan): string[] {
  const words = optionWords(held).join(" ");
  const total = epochsOf(rungs).reduce((sum, epochs) => sum + epochs, 0);
  return columns([
    ["training", `${count(rows.train)} rows, ${shortPath(files.train)}`],
    ["validation", `${count(rows.validation)} rows, ${shortPath(files.validation)}`],
    ...(files.init === undefined ? [] : [["start from", files.init]]),
    ...Object.entries(space).map(([name, dimension], i) => [i === 0 ? "try" : "", `${name} ${describe(dimension)}`]),
    ...(words === "" ? [] : [["hold", words]]),
    ["trials", `${count(trials.length)}, at most ${count(total)} epochs together`],
    ["seed", String(seed)],
    ["study", `${files.study}${known === 0 ? "" : `, ${count(known)} results are there`}`],
  ]);
}

function describeRung({ trials, epochs }: Rung): string {
  return `${count(trials)} ${trials === 1 ? "trial" : "trials"}, to epoch ${count(epochs)}`;
}

function describe(dimension: Dimension): string {
  if (!("min" in dimension)) return dimension.map(textOf).join(" | ");
  const { min, max, scale, step } = dimension;
  const steps = step === undefined ? "" : `, in steps of ${plain(step)}`;
  return `${min} … ${max}${steps}${scale === "log" ? ", logarithmic" : ""}`;
}

/** Short names of options, as docs/NOTATION.md has them. */
const SYMBOLS: Readonly<Record<string, string>> = {
  factors: "K",
  "attention-factors": "A",
  "field-factors": "K_F",
  temperature: "τ",
  "batch-size": "batch",
  "clip-norm": "clip",
};

function symbolOf(option: string): string {
  return SYMBOLS[option] ?? option.replace(/^l2-/, "λ ");
}

interface Column {
  title: string;
  width: number;
  cell(result: TrialResult, rank: number): string;
}

/** Trials as lines with columns. What they try goes below the line where the columns would be too wide. */
class TrialTable {
  readonly #columns: Column[];
  readonly #gap: string;
  /** Columns that options below a line may take; 0 when they have columns of their own. */
  readonly #below: number;

  /** @param width columns of the terminal */
  constructor({ loss, trials, space }: StudyPlan, width: number, hasRanks = false) {
    const { key, title } = MAIN_METRIC[loss];
    const options = Object.keys(space).map((name) => {
      const cell = ({ options }: TrialResult) => textOf(options[name]);
      const longest = Math.max(...trials.map(({ options }) => textOf(options[name]).length));
      return { title: symbolOf(name), width: Math.max(symbolOf(name).length, longest), cell };
    });
    const before = [
      ...(hasRanks ? [{ title: "rank", width: 4, cell: (_: TrialResult, rank: number) => String(rank) }] : []),
      { title: "trial", width: 5, cell: ({ trial }: TrialResult) => String(trial) },
    ];
    const after = [
      { title, width: 8, cell: ({ failed, validation }: TrialResult) => failed ?? metric(validation?.[key]) },
      { title: "best", width: 7, cell: ({ bestEpoch, epochs }: TrialResult) => `${bestEpoch ?? "–"}/${epochs}` },
      { title: "time", width: 10, cell: ({ seconds }: TrialResult) => duration(seconds) },
    ];
    const all = [...before, ...options, ...after];
    const cells = all.reduce((sum, column) => sum + column.width, 0);
    // Two characters are for the star of the best.
    const gap = [2, 1].find((gap) => cells + gap * (all.length - 1) + 2 <= width);
    this.#gap = " ".repeat(gap ?? 2);
    this.#columns = gap === undefined ? [...before, ...after] : all;
    this.#below = gap === undefined ? width : 0;
  }

  header(): string {
    return this.#line(({ title }) => title);
  }

  /** @param mark stands after the columns */
  row(result: TrialResult, mark: string, rank = 0): string {
    const line = this.#line((column) => column.cell(result, rank)) + mark;
    return this.#below === 0 ? line : `${line}\n${describeOptions(result.options, this.#below)}`;
  }

  #line(text: (column: Column) => string): string {
    return this.#columns.map((column) => text(column).padStart(column.width)).join(this.#gap);
  }
}

/** Options below a line, in lines of at most `width` columns. */
function describeOptions(options: TrialOptions, width: number): string {
  const lines: string[] = [];
  for (const [name, given] of Object.entries(options)) {
    const word = `${symbolOf(name)} ${textOf(given)}`;
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length + 2 <= width) lines[lines.length - 1] = `${last}, ${word}`;
    else lines.push(`      ${word}`);
  }
  return lines.join("\n");
}
