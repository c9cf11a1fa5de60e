import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { checkWritable } from "../atomic-file.js";
import { DEFAULT_SEED, type Loss, type ModelKind, type TrainConfig, validateTrainConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";
import { type ErrorCode, IfmError } from "../errors.js";
import { Model } from "../model/model.js";
import { configureModel } from "../train/configure.js";
import { monitored } from "../train/metrics.js";
import type { TrainerOptions } from "../train/trainer.js";
import type { EpochEvent, Metrics, StartEvent } from "../train/types.js";
import { halve, type Rung, rungsOf, type TrialResult } from "../tune/halving.js";
import { Runs } from "../tune/runs.js";
import { drawTrials, type Space, type Trial } from "../tune/space.js";
import { VERSION } from "../version.js";
import { threadsFor } from "./compute.js";
import { readRows } from "./data.js";
import { EXIT } from "./exit.js";
import { refuseOverwrite, shortPath, trainingFiles } from "./files.js";
import { Interrupts } from "./interrupts.js";
import type { Io } from "./io.js";
import { DEFAULT_MODEL, type TrainValues } from "./options.js";
import { modelOverrides, namingFlag, trainOverrides } from "./overrides.js";
import { startWarnings, warn } from "./report.js";
import { type Fingerprint, Study, type StudyHeader, studyName } from "./study.js";
import {
  heldValues,
  searchSpace,
  spaceText,
  TUNE_DEFAULTS,
  type TuneValues,
  trainCommand,
  trialValues,
} from "./tune-options.js";
import { HumanTuneReport, JsonTuneReport, SILENT, type TuneReport } from "./tune-report.js";

/** `ifm-wasm tune [FILE]`. Returns the exit code. */
export async function tune(file: string | undefined, options: TuneValues, io: Io): Promise<number> {
  const kind = options.model ?? DEFAULT_MODEL;
  const space = searchSpace(kind, options, options.space === undefined ? undefined : await textFile(options.space));
  if (options.printSpace) {
    io.out.write(spaceText(space));
    return EXIT.done;
  }
  const files = await tuningFiles(file, options, io);
  const command = new TuneCommand(kind, space, files, options, io);
  try {
    return await command.run();
  } finally {
    command.dispose();
  }
}

/** The files that all trials share. */
interface TuningFiles {
  train: string;
  validation: string;
  init?: string;
}

/** Their rows. */
interface TuningData {
  train: Dataset;
  validation: Dataset;
}

async function textFile(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === "ENOENT" ? "no such file" : String((cause as Error).message);
    throw new IfmError("IFM_USAGE", why, { file, hint: "ifm-wasm tune --print-space prints one to start from", cause });
  }
}

async function tuningFiles(file: string | undefined, options: TuneValues, io: Io): Promise<TuningFiles> {
  const { train, validation } = await trainingFiles(file, options, io.sample);
  if (validation === undefined) {
    throw new IfmError("IFM_USAGE", "--validation: trials are compared on validation rows, and there are none", {
      hint: "name rows that are not trained on: --validation FILE",
    });
  }
  if (train === "-" || validation === "-") {
    throw new IfmError("IFM_USAGE", "-: the command that tune prints reads its rows again, which stdin cannot", {
      hint: "write the rows to a file first",
    });
  }
  return { train, validation, ...(options.init === undefined ? {} : { init: options.init }) };
}

class TuneCommand {
  readonly #kind: ModelKind;
  readonly #space: Space;
  readonly #files: TuningFiles;
  readonly #options: TuneValues;
  readonly #io: Io;
  readonly #report: TuneReport;
  readonly #interrupts: Interrupts;
  readonly #seed: number;
  #threads: number | "auto" = 1;
  readonly #trials: readonly Trial[];
  readonly #rungs: readonly Rung[];
  /** Warnings that were given: most hold for every trial. */
  readonly #warned = new Set<string>();

  constructor(kind: ModelKind, space: Space, files: TuningFiles, options: TuneValues, io: Io) {
    const { trials = TUNE_DEFAULTS.trials, epochs = TUNE_DEFAULTS.epochs, reduce = TUNE_DEFAULTS.reduce } = options;
    this.#kind = kind;
    this.#space = space;
    this.#files = files;
    this.#options = options;
    this.#io = io;
    this.#report = options.json ? new JsonTuneReport(io) : options.quiet ? SILENT : new HumanTuneReport(io);
    this.#interrupts = new Interrupts(io, () => this.#report.interrupted());
    this.#seed = options.seed ?? DEFAULT_SEED;
    this.#trials = drawTrials(this.#seed, trials, space);
    this.#rungs = rungsOf(this.#trials.length, epochs, reduce);
    if (this.#trials.length < trials)
      this.#warn(`no more than ${this.#trials.length} trials differ in what is to be tried`);
  }

  dispose(): void {
    this.#interrupts.dispose();
  }

  async run(): Promise<number> {
    await this.#check();
    this.#threads = await threadsFor(this.#options.threads, this.#files.train);
    const { data: train } = await readRows(this.#files.train, this.#options);
    const { data: validation } = await readRows(this.#files.validation, this.#options);
    const data = { train, validation };
    const init = this.#files.init === undefined ? undefined : await Model.load(this.#files.init);
    const runs = new Runs(
      (trial) => this.#trainerOptions(this.#trials[trial - 1], data, init),
      (start) => this.#warnOf(start, data),
    );
    try {
      const loss = this.#checkTrials(data.train, init);
      const study = await this.#openStudy();
      try {
        this.#start(data, loss, study);
        return await this.#search(runs, loss, study);
      } finally {
        await study.close();
      }
    } finally {
      runs.dispose();
      init?.dispose();
    }
  }

  /** Refuses what can be refused before anything large is read. */
  async #check(): Promise<void> {
    const { output, study, space } = this.#options;
    for (const trial of this.#trials) trainOverrides(this.#kind, this.#values(trial));
    if (output === undefined) return;
    if (output === "-") {
      throw new IfmError("IFM_USAGE", "--output: a model cannot go to stdout", { hint: "name a file" });
    }
    const { train, validation, init } = this.#files;
    refuseOverwrite(output, [train, validation, init, space, study]);
    await checkWritable(output);
  }

  /**
   * Refuses values that single options take, but not together, or not with these rows.
   *
   * @returns the loss, which is that of all trials
   */
  #checkTrials(train: Dataset, init: Model | undefined): Loss {
    let loss: Loss = "squared";
    try {
      for (const trial of this.#trials) {
        const values = this.#values(trial);
        ({ loss } = configureModel(modelOverrides(this.#kind, values), train, init));
        validateTrainConfig(trainOverrides(this.#kind, values) as Partial<TrainConfig>, this.#kind, loss);
      }
    } catch (error) {
      throw namingFlag(error);
    }
    return loss;
  }

  async #openStudy(): Promise<Study> {
    const { train, validation, init } = this.#files;
    const header: StudyHeader = {
      study: 1,
      version: VERSION,
      model: this.#kind,
      space: this.#space,
      options: heldValues(this.#options),
      seed: this.#seed,
      trials: this.#trials.length,
      epochs: this.#mostEpochs,
      reduce: this.#options.reduce ?? TUNE_DEFAULTS.reduce,
      data: {
        train: await fingerprint(train),
        validation: await fingerprint(validation),
        ...(init === undefined ? {} : { init: await fingerprint(init) }),
      },
    };
    const file = this.#options.study ?? studyName(header);
    await checkWritable(file);
    return Study.open(file, header, this.#trials, this.#rungs);
  }

  #start({ train, validation }: TuningData, loss: Loss, study: Study): void {
    const { output } = this.#options;
    this.#report.start({
      kind: this.#kind,
      loss,
      seed: this.#seed,
      space: this.#space,
      held: heldValues(this.#options),
      trials: this.#trials,
      rungs: this.#rungs,
      files: { ...this.#files, ...(output === undefined ? {} : { output }), study: study.file },
      rows: { train: train.rows, validation: validation.rows },
      known: study.size,
    });
  }

  /** Runs the study to its end, or to an interrupt. */
  async #search(runs: Runs, loss: Loss, study: Study): Promise<number> {
    this.#interrupts.training = true;
    try {
      const results = await halve(this.#trials, this.#rungs, {
        begin: (rung) => this.#report.rung(rung),
        run: async (trial, rung, before) => {
          const known = study.find(rung, trial.trial);
          const result = known ?? (await this.#train(runs, trial, rung, before, loss));
          if (known === undefined) await study.add(result);
          this.#report.result(result);
          return result;
        },
        keep: (trials) => runs.keep(trials),
      });
      return await this.#finish(runs, results);
    } catch (error) {
      if (!(error instanceof IfmError) || error.code !== "IFM_ABORTED") throw error;
      this.#report.end({ reason: "aborted", results: [] });
      return EXIT.interrupted;
    }
  }

  /** Trains a trial up to a rung. A trial that fails is a result, too. */
  async #train(
    runs: Runs,
    { trial, options }: Trial,
    rung: number,
    before: TrialResult | undefined,
    loss: Loss,
  ): Promise<TrialResult> {
    // Early stopping has ended it at an earlier rung: it stays as it is.
    if (before !== undefined && before.epochs < this.#rungs[before.rung - 1].epochs) return { ...before, rung };
    try {
      const { epochs, seconds, kept } = await runs.advance(trial, this.#rungs[rung - 1].epochs);
      const { epoch: bestEpoch, validation } = kept as EpochEvent & { validation: Metrics };
      return { trial, rung, options, epochs, seconds, score: monitored(validation, loss), bestEpoch, validation };
    } catch (thrown) {
      const error = namingFlag(thrown);
      const failed = error instanceof IfmError ? FAILURES[error.code] : undefined;
      if (failed === undefined) throw error;
      const { epochs = 0, seconds = 0 } = before ?? {};
      return { trial, rung, options, epochs, seconds, failed, message: (error as IfmError).message };
    }
  }

  /** Saves the best model if that is wanted, and says how to train it again. */
  async #finish(runs: Runs, results: readonly TrialResult[]): Promise<number> {
    const [best] = results;
    if (best.score === undefined) {
      this.#report.end({ reason: "failed", results });
      throw new IfmError(
        results.some(({ failed }) => failed === "diverged") ? "IFM_DIVERGED" : "IFM_MEMORY",
        `all ${results.length} trials failed; trial ${best.trial}: ${best.message}`,
        { hint: "try other values: ifm-wasm tune --print-space prints a --space to start from" },
      );
    }
    const { output, json } = this.#options;
    const { epochs } = this.#rungs[best.rung - 1];
    if (output !== undefined) await runs.save(best.trial, epochs, output);
    const command = trainCommand(this.#files.train, {
      ...this.#values(best),
      validation: shortPath(this.#files.validation),
      model: this.#kind,
      epochs,
    });
    this.#report.end({ reason: "done", results, command, ...(output === undefined ? {} : { output }) });
    if (!json) this.#io.out.write(`${command}\n`);
    return EXIT.done;
  }

  get #mostEpochs(): number {
    return this.#rungs[this.#rungs.length - 1].epochs;
  }

  /** The options of a trial as `train` has them. */
  #values({ options }: Trial): TrainValues {
    const { init } = this.#files;
    const values = { ...heldValues(this.#options), ...trialValues(options), ...(init === undefined ? {} : { init }) };
    return { ...values, epochs: this.#mostEpochs, seed: this.#seed };
  }

  #trainerOptions(trial: Trial, data: TuningData, init: Model | undefined): TrainerOptions {
    const values = this.#values(trial);
    return {
      model: modelOverrides(this.#kind, values),
      train: trainOverrides(this.#kind, values),
      data,
      ...(init === undefined ? {} : { init }),
      signal: this.#interrupts.signal,
      onProgress: (progress) => this.#report.progress(progress),
      threads: this.#threads,
      onWarning: (text) => this.#warn(text),
    };
  }

  #warnOf(start: StartEvent, { train, validation }: TuningData): void {
    const slots = { train: train.features.length, validation: validation.features.length };
    for (const warning of startWarnings(start, slots)) this.#warn(warning);
  }

  #warn(warning: string): void {
    if (!this.#warned.has(warning)) warn(this.#io, warning);
    this.#warned.add(warning);
  }
}

/** What ends a trial, but not the study. */
const FAILURES: Partial<Record<ErrorCode, "diverged" | "memory">> = {
  IFM_DIVERGED: "diverged",
  IFM_MEMORY: "memory",
};

async function fingerprint(file: string): Promise<Fingerprint> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(file)) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest("hex") };
}
