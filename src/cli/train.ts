import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { checkWritable } from "../atomic-file.js";
import { type ModelKind, type TrainConfig, validateTrainConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import { Model } from "../model/model.js";
import type { StoredCheckpoint } from "../train/checkpoint-folder.js";
import { configureModel } from "../train/configure.js";
import { createTrainer, type Trainer, type TrainerOptions } from "../train/trainer.js";
import type { FitData } from "../train/types.js";
import { compatDefaults } from "./authors.js";
import { constantMetrics } from "./baseline.js";
import { checkpointsIn } from "./checkpoint-files.js";
import { errorColors } from "./colors.js";
import { computeOptions } from "./compute.js";
import { readRows } from "./data.js";
import { EXIT, reportError } from "./exit.js";
import { pretrainFile, shortPath, type TrainingFiles, trainingFiles } from "./files.js";
import { Interrupts } from "./interrupts.js";
import type { Io } from "./io.js";
import { JsonReport, jsonLine } from "./json.js";
import { DEFAULT_MODEL, type TrainValues } from "./options.js";
import { modelOverrides, namingFlag, trainOverrides } from "./overrides.js";
import { describePlan, needOf, planEvent, planTraining, refuseTooLarge } from "./plan.js";
import { prepareTraining } from "./prepare.js";
import {
  type Comparison,
  describeRollback,
  HumanReport,
  type Ready,
  type RunEnd,
  SILENT,
  startWarnings,
  type TrainReport,
  warn,
} from "./report.js";

/** `ifm-wasm train [FILE]`. Returns the exit code. */
export async function train(file: string | undefined, options: TrainValues, io: Io): Promise<number> {
  const files = await trainingFiles(file, options, io.sample);
  const command = new TrainCommand(files, options, io);
  try {
    return await command.run();
  } finally {
    await command.dispose();
  }
}

/** What the bundled rows are about. */
const SAMPLE = "the sample: who earns more than 50,000 dollars a year? (UCI Adult, CC BY 4.0)";

/**
 * What the sample is trained with unless the command line says otherwise. Its validation RMSE over three seeds, FM 0.6058,
 * 0.6074, 0.6064: IFM with this 0.6049, 0.6058, 0.6042, without 0.6057, 0.6055, 0.6043.
 */
const SAMPLE_OPTIONS: Pick<TrainValues, "l2Field"> = { l2Field: 0.1 };

/** Most features of a model. */
const MAX_FEATURES = 2 ** 31 - 1;

/** A training to be done. */
interface Run {
  kind: ModelKind;
  options: TrainValues;
  report: TrainReport;
  init: Model | undefined;
  initFile: string | undefined;
  comparison: Comparison | undefined;
  /** Whether it is what is checkpointed: the first of two steps is not, it is done again. */
  isMain: boolean;
  /** Called when everything is ready and nothing is trained yet. */
  onReady?: (trainer: Trainer) => Promise<void>;
}

/** How a training came out. The trainer has the best weights; whoever gets this disposes of it. */
interface Outcome {
  trainer: Trainer;
  end: RunEnd;
  /** Why training stopped before its end, unless the user stopped it. */
  error: IfmError | undefined;
}

class TrainCommand {
  readonly #files: TrainingFiles;
  /** The command line as it was typed. */
  readonly #said: TrainValues;
  #options: TrainValues;
  readonly #io: Io;
  readonly #interrupts: Interrupts;
  /** Whether messages to a person are wanted. */
  readonly #talks: boolean;
  readonly #kind: ModelKind;
  readonly #output: string;
  #reading = { seconds: 0, fromCache: false };
  #ready: Ready | undefined;
  /** The checkpoint to go on from. */
  #found: StoredCheckpoint | undefined;
  /** Who shows the training that is under way. */
  #current: TrainReport = SILENT;

  constructor(files: TrainingFiles, options: TrainValues, io: Io) {
    this.#files = files;
    this.#said = options;
    this.#io = io;
    this.#interrupts = new Interrupts(io, () => this.#current.interrupted());
    this.#talks = !options.json && !options.quiet;
    this.#kind = options.model ?? DEFAULT_MODEL;
    this.#options = this.#complete(undefined);
    this.#output = options.output ?? `${this.#kind}.safetensors`;
  }

  async dispose(): Promise<void> {
    this.#interrupts.dispose();
    await this.#found?.close();
  }

  async run(): Promise<number> {
    const { initFile, found } = await prepareTraining(this.#files, this.#options, this.#kind, this.#output, {
      say: (text) => this.#say(text),
      warn: (text) => warn(this.#io, text),
    });
    this.#found = found;
    const init = initFile === undefined ? undefined : await Model.load(initFile);
    this.#options = this.#complete(init?.config.model);
    if (this.#files.isSample && !this.#options.plan) this.#say(`${SAMPLE}\n`);
    const data = await this.#load();
    if (this.#options.plan) return await this.#plan(data, init);
    // FM first: the paper starts IFM from it, and a newcomer sees what the interactions add.
    const fm =
      this.#files.isSample && this.#kind !== "fm" && init === undefined ? await this.#trainFm(data) : undefined;
    try {
      if (fm?.error !== undefined) return reportError(fm.error, this.#io);
      if (fm?.end.reason === "aborted") return EXIT.interrupted;
      return await this.#trainModel(data, init, initFile, fm);
    } finally {
      fm?.trainer.dispose();
      init?.dispose();
    }
  }

  /** What was said, and what `--compat` or the sample set besides. `from` is the kind of the initial model. */
  #complete(from: ModelKind | undefined): TrainValues {
    const sample = this.#files.isSample ? SAMPLE_OPTIONS : {};
    const defaults = this.#said.compat === "authors" ? compatDefaults(this.#kind, from) : sample;
    return { ...defaults, ...this.#said };
  }

  async #load(): Promise<FitData> {
    const { train, validation, test } = this.#files;
    const started = performance.now();
    let fromText = 0;
    const read = async (file: string) => {
      const { data, fromCache } = await readRows(file, this.#options);
      if (!fromCache) fromText++;
      return data;
    };
    const data: FitData = {
      train: await read(train),
      ...(validation === undefined ? {} : { validation: await read(validation) }),
      ...(test === undefined ? {} : { test: await read(test) }),
    };
    this.#reading = { seconds: (performance.now() - started) / 1000, fromCache: fromText === 0 };
    return data;
  }

  /** Says what training would take. */
  async #plan(data: FitData, init: Model | undefined): Promise<number> {
    try {
      const plan = await planTraining({
        ...this.#trainerOptions(data, this.#kind, this.#options, init),
        ...(await computeOptions(this.#options, this.#files.train, this.#io)),
      });
      this.#io.out.write(this.#options.json ? jsonLine(planEvent(plan)) : describePlan(plan));
      return EXIT.done;
    } catch (error) {
      throw namingFlag(error);
    } finally {
      init?.dispose();
    }
  }

  /**
   * What a trainer is made of.
   *
   * @throws IfmError `IFM_MEMORY`: it would not fit
   */
  #trainerOptions(data: FitData, kind: ModelKind, options: TrainValues, init: Model | undefined): TrainerOptions {
    const model = modelOverrides(kind, options);
    const train = trainOverrides(kind, options);
    // One id beyond the largest that --features takes would be refused as if it had been said.
    const beyond = data.train.featureCount > MAX_FEATURES && init === undefined ? { features: MAX_FEATURES } : {};
    const config = configureModel({ ...beyond, ...model }, data.train, init);
    const settings = validateTrainConfig(train as Partial<TrainConfig>, kind, config.loss);
    refuseTooLarge(config, needOf(config, settings, data, options.onDivergence === "retry"), data);
    return {
      model,
      train,
      data,
      ...(init === undefined ? {} : { init }),
      ...(options.onDivergence && { onDivergence: options.onDivergence }),
      ...(options.divergenceRetries && { divergenceRetries: options.divergenceRetries }),
      evaluateTrain: options.evaluateTrain === true,
      ownsRows: true,
    };
  }

  /** An FM with the same settings, as far as they have a meaning for it. */
  async #trainFm(data: FitData): Promise<Outcome> {
    const { freeze: _freeze, samplePairs: _ratio, sampleAfter: _steps, ...options } = this.#options;
    const report = this.#talks ? new HumanReport(this.#io, "step 1 of 2") : SILENT;
    const outcome = await this.#train(data, {
      kind: "fm",
      options,
      report,
      init: undefined,
      initFile: undefined,
      comparison: undefined,
      isMain: false,
    });
    report.end(outcome.end);
    this.#say(outcome.end.reason === "aborted" ? `${this.#kind} had not begun; nothing was saved` : "");
    return outcome;
  }

  async #trainModel(
    data: FitData,
    init: Model | undefined,
    initFile: string | undefined,
    fm: Outcome | undefined,
  ): Promise<number> {
    const report = this.#report(fm === undefined ? "" : "step 2 of 2");
    let pretrainTo: string | undefined;
    const outcome = await this.#train(data, {
      kind: this.#kind,
      options: this.#options,
      report,
      init: init ?? fm?.trainer.model(),
      initFile,
      comparison: this.#compare(data, fm),
      isMain: true,
      onReady: async (trainer) => {
        pretrainTo = await this.#preparePretrain(trainer.start.model.factors);
      },
    });
    try {
      return await this.#finish(outcome, report, pretrainTo);
    } finally {
      outcome.trainer.dispose();
    }
  }

  /** What the model will be compared with: only the bundled rows are known to be worth it. */
  #compare({ train, validation }: FitData, fm: Outcome | undefined): Comparison | undefined {
    if (!this.#files.isSample || validation === undefined || this.#options.loss === "bpr") return undefined;
    const metrics = fm?.end.best?.validation;
    return {
      rows: validation.rows,
      constant: constantMetrics(train, validation),
      ...(metrics === undefined ? {} : { fm: metrics }),
    };
  }

  /** Where the authors' `--pretrain -1` saves, once it is known that this will work. */
  async #preparePretrain(factors: number): Promise<string | undefined> {
    const { pretrain } = this.#options;
    if (pretrain !== "-1" && pretrain !== "2") return undefined;
    const file = pretrainFile(this.#kind, this.#files.name, factors);
    await mkdir(dirname(file), { recursive: true });
    await checkWritable(file);
    return file;
  }

  /** Trains to the end, to an interrupt or until it diverges. */
  async #train(data: FitData, run: Run): Promise<Outcome> {
    const { options, report } = run;
    this.#interrupts.training = true;
    this.#current = report;
    const trainer = await this.#makeTrainer(data, run).catch((error) => {
      throw namingFlag(error);
    });
    try {
      for (const warning of startWarnings(trainer.start, slotsOf(data))) warn(this.#io, warning);
      const { train, validation, test } = this.#files;
      const isFirst = this.#ready === undefined;
      this.#ready ??= {
        // From the start of the process.
        secondsToFirstBatch: performance.now() / 1000,
        readSeconds: this.#reading.seconds,
        fromCache: this.#reading.fromCache,
      };
      report.start(
        trainer.start,
        {
          train,
          ...(validation === undefined ? {} : { validation }),
          ...(test === undefined ? {} : { test }),
          ...(run.initFile === undefined ? {} : { init: run.initFile }),
          ...(run.isMain && this.#found ? { resume: this.#found.name } : {}),
        },
        // A person has seen it at the first of two steps, a program sees the second only.
        isFirst || options.json ? this.#ready : undefined,
      );
      if (run.comparison !== undefined) report.baseline(run.comparison);
      await run.onReady?.(trainer);
      return await this.#follow(trainer, report);
    } catch (error) {
      trainer.dispose();
      throw error;
    }
  }

  async #makeTrainer(data: FitData, { kind, options, report, init, isMain }: Run): Promise<Trainer> {
    return createTrainer({
      ...this.#trainerOptions(data, kind, options, init),
      ...(isMain ? this.#checkpointOptions() : {}),
      ...(await computeOptions(options, this.#files.train, this.#io)),
      signal: this.#interrupts.signal,
      onProgress: (progress) => report.progress(progress),
    });
  }

  #checkpointOptions(): Pick<TrainerOptions, "checkpoint" | "resume"> {
    const { checkpoint, checkpointEvery: every } = this.#options;
    const folder = checkpoint === undefined ? undefined : checkpointsIn(checkpoint);
    return {
      ...(folder && { checkpoint: { ...(every && { every }), write: (taken) => folder.write(taken) } }),
      ...(this.#found && { resume: this.#found }),
    };
  }

  /** Trains and shows it. */
  async #follow(trainer: Trainer, report: TrainReport): Promise<Outcome> {
    const end: RunEnd = { reason: "epochs", epochs: 0, seconds: 0, best: undefined };
    const started = performance.now();
    let error: IfmError | undefined;
    let { epochs: done } = trainer.start.resumed ?? { epochs: 0 };
    try {
      for await (const event of trainer) {
        if (event.event === "epoch") {
          done = event.epoch;
          report.epoch(event);
        } else if (event.event === "rollback") {
          report.rollback(event);
          warn(this.#io, describeRollback(event));
        } else if (event.event === "end") {
          end.reason = event.reason;
          if (trainer.start.resumed?.epochs === event.epochs && event.reason !== "aborted") {
            this.#say("this training had ended already; there is nothing left to train");
          }
        }
      }
    } catch (thrown) {
      if (!(thrown instanceof IfmError) || thrown.code !== "IFM_DIVERGED") throw thrown;
      end.reason = "diverged";
      error = thrown;
    }
    end.epochs = done;
    end.seconds = (performance.now() - started) / 1000;
    end.best = trainer.keptEvent;
    return { trainer, end, error };
  }

  /** Saves what there is to save, and says so. */
  async #finish(
    { trainer, end, error }: Outcome,
    report: TrainReport,
    pretrainTo: string | undefined,
  ): Promise<number> {
    // Without a completed epoch there is nothing but initial weights, which nobody wants unless for 0 epochs.
    if (end.best !== undefined || end.reason === "epochs") {
      const model = trainer.intoModel();
      await model.save(this.#output);
      end.output = this.#output;
      end.bytes = model.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
      if (pretrainTo !== undefined) {
        await model.save(pretrainTo);
        end.pretrain = pretrainTo;
      }
    }
    report.end(end);
    const { checkpoint } = this.#options;
    if (end.reason === "aborted" && checkpoint !== undefined) {
      this.#say(`a checkpoint is in ${checkpoint}; to go on: the same command with --resume ${checkpoint}`);
    }
    if (end.output !== undefined) {
      if (this.#files.isSample && error === undefined) this.#sayNext(end.output);
      if (!this.#options.json) this.#io.out.write(`${end.output}\n`);
    }
    if (error !== undefined) return reportError(error, this.#io);
    return end.reason === "aborted" ? EXIT.interrupted : EXIT.done;
  }

  /** What somebody who has just trained on the sample may want to do. */
  #sayNext(output: string): void {
    const rows = shortPath(this.#files.validation ?? this.#files.train);
    this.#say(`
${errorColors(this.#io).bold("Next")}
  ifm-wasm inspect ${output}
  ifm-wasm predict ${output} ${rows}
  ifm-wasm check YOUR.libfm
  ifm-wasm train YOUR.libfm --validation YOUR-VALIDATION.libfm
`);
  }

  #report(title: string): TrainReport {
    if (this.#options.json) return new JsonReport(this.#io, this.#output);
    return this.#talks ? new HumanReport(this.#io, title) : SILENT;
  }

  #say(text: string): void {
    if (this.#talks) this.#io.err.write(`${text}\n`);
  }
}

function slotsOf({ train, validation, test }: FitData): Partial<Record<"train" | "validation" | "test", number>> {
  const slots = (data: Dataset | undefined) => data?.features.length ?? 0;
  return { train: slots(train), validation: slots(validation), test: slots(test) };
}
