import { breathe, kernelBuild } from "#runtime";
import { type ModelConfig, type TrainConfig, validateTrainConfig } from "../config.js";
import { checkRows, countUnknown, type Dataset } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import { parameterCount } from "../model/layout.js";
import { Model } from "../model/model.js";
import type { TrainingRecord } from "../model/record.js";
import { VERSION } from "../version.js";
import { type ComputeOptions, type KernelBuild, kernelsFor, threadsFor } from "../wasm/load.js";
import { Session } from "../wasm/session.js";
import type { Checkpoint, CheckpointOptions, CheckpointSource } from "./checkpoint-format.js";
import type { Checkpoints } from "./checkpoints.js";
import { checkLabels, configureModel, takeTensors } from "./configure.js";
import type { LastGood } from "./divergence.js";
import { EarlyStopping } from "./early-stopping.js";
import { cutsFor, evaluate, type LabelRange, monitored } from "./metrics.js";
import type { Pairs, RowsToRank } from "./pairs.js";
import { Pass } from "./pass.js";
import type {
  EndEvent,
  EpochEvent,
  FitData,
  InitReport,
  Kept,
  Metrics,
  Progress,
  RollbackEvent,
  StartEvent,
  TrainEvent,
} from "./types.js";

export interface TrainerOptions extends ComputeOptions {
  /** What shapes the model; `model` names its kind (default `ifm`). What is left out comes from `init`, the data, defaults. */
  model?: Partial<ModelConfig>;
  /** How to train; what is left out has the defaults of `defaultTrain`. */
  train?: TrainOptions;
  data: FitData;
  /** Initial weights: every tensor that fits by name and shape. */
  init?: Model;
  /** Evaluate the training rows after each epoch instead of reporting the metrics of the pass itself. */
  evaluateTrain?: boolean;
  /** Ends training at the next batch; `model()` then has the best weights so far. */
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
  /** Makes `Trainer.checkpoint` work and, with `write`, calls it from time to time. */
  checkpoint?: CheckpointOptions;
  /** A checkpoint to go on from, of the same data and options; `epochs` and what changes no bit may differ. */
  resume?: CheckpointSource | undefined;
  /**
   * What to do when a loss, a gradient or a weight stops being finite. `stop` (default): throw IFM_DIVERGED. `retry`: go
   * back to the end of the best epoch, or to the start, and go on with half the learning rate.
   */
  onDivergence?: "stop" | "retry";
  /** How often at most; 3 by default. */
  divergenceRetries?: number;
  /**
   * @internal The training rows are the trainer's: their arrays become views of its memory, which holds a copy anyway,
   * and buffers that can shrink are emptied.
   */
  ownsRows?: boolean;
}

/** `TrainConfig` with every key, also the inner ones, optional. */
export type TrainOptions = Partial<Omit<TrainConfig, "l2" | "adam" | "ftrl" | "bpr">> & {
  l2?: Partial<TrainConfig["l2"]>;
  adam?: Partial<TrainConfig["adam"]>;
  ftrl?: Partial<TrainConfig["ftrl"]>;
  bpr?: Partial<TrainConfig["bpr"]>;
};

/**
 * Makes ready to train: checks options and data, takes memory, fills the weights. Nothing is computed before the
 * trainer is iterated.
 *
 * ```ts
 * using trainer = await createTrainer({ model: { model: "fm", factors: 64 }, data: { train, validation } });
 * for await (const event of trainer) if (event.event === "epoch") console.log(event.epoch, event.validation?.rmse);
 * using model = trainer.model();
 * ```
 *
 * @throws IfmError IFM_USAGE, IFM_DATA, IFM_MEMORY
 */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  const threads = threadsFor(options);
  const config = configOf(options);
  // No model has this loss by default.
  const isPairwise = options.model?.loss === "bpr" || options.init?.config.loss === "bpr";
  const pairwise = isPairwise ? await import("./pairs.js") : undefined;
  const [kernels, predict = kernels] = await Promise.all([
    kernelsFor("one", threads, options, config),
    options.wasm === undefined ? kernelBuild("predict") : undefined,
  ]);
  const trainer = new Trainer(predict, kernels, config, options, threads, pairwise);
  await trainer.prepare();
  await trainer.startThreads();
  return trainer;
}

function setsOf({ train, validation, test }: FitData): Dataset[] {
  return [train, validation, test].filter((set) => set !== undefined);
}

/** The model to be trained, of rows that were looked at. */
function configOf({ model = {}, data, init }: TrainerOptions): ModelConfig {
  for (const set of setsOf(data)) {
    if (set.rows === 0) throw new IfmError("IFM_DATA", "no rows", { file: set.name });
    checkRows(set);
  }
  return configureModel(model, data.train, init);
}

/** One training run: an async iterable of its events, to be iterated once. */
export class Trainer implements AsyncIterable<TrainEvent> {
  /** The first event: the whole configuration. */
  readonly start: StartEvent;
  /** What models of this training have. */
  readonly #predict: KernelBuild;
  readonly #options: TrainerOptions;
  readonly #train: TrainConfig;
  readonly #range: LabelRange;
  #session: Session | undefined;
  readonly #pairs: Pairs | undefined;
  readonly #pass: Pass;
  readonly #stopping: EarlyStopping;
  #kept: Kept = { weights: undefined, steps: 0, event: undefined, retries: 0 };
  /** How often the learning rate was halved. */
  #retries = 0;
  #lastGood: LastGood | undefined;
  #checkpoints: Checkpoints | undefined;
  /** What is measured to measure a data set. */
  readonly #evaluated: Map<Dataset, RowsToRank>;
  /** What the record of a model says of every epoch. */
  readonly #facts: TrainingRecord;
  #iterated = false;

  /** @internal Use `createTrainer`. */
  constructor(
    predict: KernelBuild,
    kernels: KernelBuild,
    config: ModelConfig,
    options: TrainerOptions,
    threads: number,
    pairwise: typeof import("./pairs.js") | undefined,
  ) {
    this.#predict = predict;
    const { data, init } = options;
    this.#options = options;
    const sets = setsOf(data);
    this.#train = validateTrainConfig((options.train ?? {}) as Partial<TrainConfig>, config.model, config.loss);
    const low = sets.some((set) => set.labelMin < 0) ? -1 : 0;
    for (const set of sets) checkLabels(config, set, low);

    const longest = Math.max(...sets.map((set) => set.maxSlots));
    const { bpr, seed, shuffle } = this.#train;
    this.#pairs = config.loss === "bpr" ? pairwise?.pairsOf(data.train, config, bpr, seed, shuffle) : undefined;
    // Pairs are made of the rows as they were read.
    const ownsRows = options.ownsRows === true && !this.#pairs;
    const plan = {
      config: this.#train,
      data: this.#pairs?.data ?? data.train,
      ...(this.#pairs ? { visits: 2 * this.#pairs.count } : {}),
      release: ownsRows,
    };
    const session = new Session(kernels, config, longest, plan, threads);
    this.#session = session;
    if (ownsRows) Object.assign(data.train, session.rowData());
    for (const set of sets) session.checkSlots(set);
    const names = session.layout.tensors.map(({ name }) => name);
    for (const name of this.#train.freeze) {
      if (!names.includes(name)) {
        throw new IfmError(
          "IFM_USAGE",
          `freeze: ${config.model} has no tensor "${name}", expected one of ${names.join(", ")}`,
        );
      }
    }

    session.initialise(this.#train.seed);
    let initReport: InitReport | undefined;
    if (init) initReport = takeTensors(session, init);
    session.initialiseState();

    this.#range = { labelMin: data.train.labelMin, labelMax: data.train.labelMax };
    if (this.#pairs) this.#range.labelMin = pairwise!.lowLabel(data.train);
    this.#stopping = new EarlyStopping(this.#train.earlyStop);
    this.#pass = new Pass(session, this.#train, options, this.#range, this.#pairs);
    this.#evaluated = new Map(sets.map((set) => [set, this.#pairs?.evaluated(set, session.kernels) ?? { data: set }]));
    const { middle } = cutsFor(config, this.#range);
    const watched = data.validation ?? (options.evaluateTrain ? data.train : undefined);
    if (this.#pairs && watched) pairwise!.checkRankable(this.#evaluated.get(watched)!, middle);
    this.#facts = {
      version: VERSION,
      seed: this.#train.seed,
      ...this.#range,
      rows: data.train.rows,
      ...(initReport ? { init: initReport } : {}),
    };
    const ofSets = <T>(count: (set: Dataset) => T) => ({
      ...(data.validation ? { validation: count(data.validation) } : {}),
      ...(data.test ? { test: count(data.test) } : {}),
    });
    const unknown = (set: Dataset) => countUnknown(set, config.features);
    this.start = {
      event: "start",
      model: config,
      train: this.#train,
      rows: { train: data.train.rows, ...ofSets((set) => set.rows) },
      parameters: parameterCount(session.layout),
      memoryBytes: session.bytes,
      threads: 1,
      ...(initReport ? { init: initReport } : {}),
      unknownFeatures: { train: session.unknownFeatures, ...ofSets(unknown) },
    };
  }

  /** Threads that compute now. */
  get threads(): number {
    return this.#alive().threads;
  }

  /** @internal Called by `createTrainer`. */
  async startThreads(): Promise<void> {
    let told = false;
    await this.#alive().startThreads((reason) => {
      if (!told) this.#options.onWarning?.(`a thread is not there: ${reason}; training goes on with fewer`);
      told = true;
    });
    this.start.threads = this.threads;
  }

  /** @internal Called by `createTrainer`. */
  async prepare(): Promise<void> {
    const { checkpoint, resume, onDivergence = "stop", onWarning } = this.#options;
    if (onDivergence !== "stop") {
      const { LastGood } = await import("./divergence.js");
      this.#lastGood = new LastGood(onDivergence, this.#options.divergenceRetries, this.#stopping);
    }
    if (checkpoint || resume) {
      const { Checkpoints } = await import("./checkpoints.js");
      const { data, evaluateTrain = false, fast = false } = this.#options;
      this.#checkpoints = new Checkpoints(
        { model: this.#alive().config, train: this.#train, evaluateTrain, fast },
        data,
        { pass: this.#pass, stopping: this.#stopping, kept: this.#kept, lastGood: this.#lastGood },
        { ...checkpoint, onWarning },
      );
    }
    if (resume) {
      this.#retries = await this.#checkpoints!.load(resume);
      const { epochs, row, steps } = this.#pass.position;
      this.start.resumed = { epochs, row, steps };
      if (this.#retries > 0) this.#alive().learningRate = this.#train.lr / 2 ** this.#retries;
    } else {
      // What is left when training diverges before the end of the first epoch.
      this.#keep();
    }
    this.#lastGood?.begin(this.#pass, this.#kept);
  }

  /**
   * A checkpoint of the training as it is between two batches, to be read before it goes on. Needs the option
   * `checkpoint`, which may be `{}`.
   *
   * @throws IfmError IFM_USAGE without that option, and after training has diverged
   */
  checkpoint(): Checkpoint {
    this.#alive();
    if (!this.#checkpoints)
      throw new IfmError("IFM_USAGE", "checkpoint: expected createTrainer({ checkpoint: {}, … })");
    return this.#checkpoints.take(this.#retries);
  }

  /**
   * Trains and tells: one start event, one event an epoch, one end event.
   *
   * @throws IfmError IFM_DIVERGED when a loss, a gradient, a weight or a validation metric stops being finite; `model()`
   *         then still has the best weights so far
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<TrainEvent, void, undefined> {
    if (this.#iterated) throw new IfmError("IFM_USAGE", "trainer: a run can be iterated once; create another trainer");
    this.#iterated = true;
    const session = this.#alive();
    const pass = this.#pass;
    const { data, signal } = this.#options;
    const { earlyStop, samplePairs, sampleAfter } = this.#train;
    const write = () => this.#checkpoints?.writeIfDue(this.#retries);
    let seconds = 0;
    yield this.start;

    let reason = this.#reasonToEnd();
    while (reason === undefined) {
      const result = signal?.aborted ? "aborted" : await pass.run(write);
      if (result === "aborted") {
        reason = result;
        break;
      }
      if (result === "diverged") {
        yield await this.#goBack();
        continue;
      }
      const epoch = pass.position.epochs + 1;
      // A model that has learnt with some of the pairs is measured with as many, those of the largest fields' vectors:
      // IFM on Frappe at a ratio of 0.5 has a validation RMSE of 0.357 with them, 0.540 with all.
      const ratio = pass.position.steps > sampleAfter ? samplePairs : 1;
      const measure = (set: Dataset) => this.#evaluate(set, epoch, ratio);
      const train = this.#options.evaluateTrain ? await measure(data.train) : result.metrics;
      const validation = data.validation && (await measure(data.validation));
      const test = data.test && (await measure(data.test));
      const watched = monitored(validation ?? train, session.config.loss);
      if (!Number.isFinite(watched) || !session.isFinite()) {
        yield await this.#goBack();
        continue;
      }
      seconds += result.seconds;
      const improved = this.#stopping.update(epoch, watched);
      const event: EpochEvent = {
        event: "epoch",
        epoch,
        loss: result.loss,
        train,
        ...(validation ? { validation } : {}),
        ...(test ? { test } : {}),
        rowsPerSecond: pass.rows / result.seconds,
        seconds: result.seconds,
        best: improved,
      };
      // Without validation rows, or with early stopping off, the last epoch is what is kept.
      if (improved || !validation || earlyStop === 0) {
        this.#keep();
        Object.assign(this.#kept, { event, retries: this.#retries });
      }
      pass.endEpoch();
      if (improved) this.#lastGood?.keepIfSound(pass, this.#kept, result.meanLoss, session.config.loss, this.#range);
      yield event;
      reason = this.#reasonToEnd();
      if (reason === undefined) await write();
    }
    await this.#checkpoints?.write(this.#retries);
    const { epochs } = pass.position;
    yield { event: "end", bestEpoch: this.#kept.event?.epoch ?? 0, epochs, reason, seconds };
  }

  #reasonToEnd(): EndEvent["reason"] | undefined {
    const { epochs } = this.#pass.position;
    if (this.#options.data.validation && this.#stopping.shouldStop(epochs)) return "early-stop";
    return epochs >= this.#train.epochs ? "epochs" : undefined;
  }

  /**
   * Goes back to the last good state.
   *
   * @throws IfmError IFM_DIVERGED when that is not wanted, or not any more
   */
  async #goBack(): Promise<RollbackEvent> {
    const { goBack } = await import("./divergence.js");
    const event = goBack({
      session: this.#alive(),
      pass: this.#pass,
      rows: this.#pairs?.data ?? this.#options.data.train,
      original: this.#options.data.train.rows,
      train: this.#train,
      lastGood: this.#lastGood,
      kept: this.#kept,
      retries: this.#retries,
    });
    this.#retries = event.retry;
    return event;
  }

  /**
   * The best weights so far; before the end of the first epoch, the weights as they are (or, if training has diverged,
   * as they were).
   */
  model(): Model {
    const weights = this.#weights();
    return new Model(this.#predict, this.#alive().config, this.#record, (target) => target.parameters().set(weights));
  }

  /** @internal `model()` in the trainer's own memory, where there is none for a copy; the trainer is then disposed of. */
  intoModel(): Model {
    const session = this.#alive();
    session.parameters().set(this.#weights());
    this.dispose();
    session.predictWith(this.#predict);
    return new Model(this.#predict, session.config, this.#record, session);
  }

  /** @internal The epoch whose weights `model()` has. */
  get keptEvent(): EpochEvent | undefined {
    return this.#kept.event;
  }

  #weights(): Float32Array {
    const session = this.#alive();
    const asTheyAre = !this.#kept.event && session.isFinite();
    return this.#kept.weights && !asTheyAre ? this.#kept.weights : session.parameters();
  }

  /** Gives up the memory. */
  dispose(): void {
    this.#session?.dispose();
    this.#session = undefined;
    this.#kept.weights = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #alive(): Session {
    if (!this.#session) throw new IfmError("IFM_USAGE", "trainer: used after dispose()");
    return this.#session;
  }

  #keep(): void {
    const weights = this.#alive().parameters();
    if (this.#kept.weights) this.#kept.weights.set(weights);
    else this.#kept.weights = weights.slice();
    this.#kept.steps = this.#pass.position.steps;
  }

  get #record(): TrainingRecord {
    const { event, retries } = this.#kept;
    const record = { ...this.#facts, bestEpoch: event?.epoch ?? 0, train: this.#train };
    if (!event) return record;
    const { train, validation, test } = event;
    const metrics = { train, ...(validation ? { validation } : {}), ...(test ? { test } : {}) };
    return { ...record, ...(retries > 0 ? { retries } : {}), metrics };
  }

  async #evaluate(set: Dataset, epoch: number, samplePairs: number): Promise<Metrics> {
    await breathe();
    const { onProgress } = this.#options;
    onProgress?.({
      phase: "evaluate",
      epoch,
      epochs: this.#train.epochs,
      rows: 0,
      totalRows: set.rows,
      rowsPerSecond: 0,
    });
    const { data, groups } = this.#evaluated.get(set)!;
    return evaluate(this.#alive(), data, this.#range, { samplePairs }, groups);
  }
}
