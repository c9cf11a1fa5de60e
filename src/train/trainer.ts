import { breathe, kernelBuild, mostThreads } from "#runtime";
import { type ModelConfig, type TrainConfig, validateThreads, validateTrainConfig } from "../config.js";
import { countUnknown, type Dataset } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import { parameterCount } from "../model/layout.js";
import { Model } from "../model/model.js";
import type { TrainingRecord } from "../model/record.js";
import { VERSION } from "../version.js";
import { type ComputeOptions, type KernelBuild, kernelsFor } from "../wasm/load.js";
import { Session } from "../wasm/session.js";
import { checkLabels, configureModel, takeTensors } from "./configure.js";
import { EarlyStopping } from "./early-stopping.js";
import { cutsFor, evaluate, hasTwoLabels, type LabelRange, metricsFrom, monitored, RocScores } from "./metrics.js";
import { checkRankable, lowLabel, type Pairs, pairsOf, type RowsToRank } from "./pairs.js";
import type { EpochEvent, FitData, InitReport, Metrics, Progress, StartEvent, TrainEvent } from "./types.js";

/** Milliseconds between two turns of the event loop while a pass runs. */
const BREATH = 50;

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
  const threads = validateThreads(options.threads ?? 1, mostThreads());
  const kernels = await kernelsFor(threads, options);
  const one = options.wasm === undefined ? await kernelBuild("one") : kernels;
  const trainer = new Trainer(one, kernels, options, threads);
  await trainer.startThreads();
  return trainer;
}

/** One training run: an async iterable of its events, to be iterated once. */
export class Trainer implements AsyncIterable<TrainEvent> {
  /** The first event: the whole configuration. */
  readonly start: StartEvent;
  /** The kernels for one thread, which is what models of this training have. */
  readonly #one: KernelBuild;
  readonly #options: TrainerOptions;
  readonly #train: TrainConfig;
  readonly #range: LabelRange;
  #session: Session | undefined;
  #snapshot: Float32Array | undefined;
  readonly #pairs: Pairs | undefined;
  /** What is measured to measure a data set. */
  readonly #evaluated: Map<Dataset, RowsToRank>;
  #record: TrainingRecord;
  #iterated = false;

  /** @internal Use `createTrainer`. */
  constructor(one: KernelBuild, kernels: KernelBuild, options: TrainerOptions, threads: number) {
    this.#one = one;
    const { data, init } = options;
    this.#options = options;
    const sets = [data.train, data.validation, data.test].filter((set) => set !== undefined);
    for (const set of sets) if (set.rows === 0) throw new IfmError("IFM_DATA", "no rows", { file: set.name });
    const config = configureModel(options.model ?? {}, data.train, init);
    this.#train = validateTrainConfig((options.train ?? {}) as Partial<TrainConfig>, config.model, config.loss);
    const low = sets.some((set) => set.labelMin < 0) ? -1 : 0;
    for (const set of sets) checkLabels(config, set, low);

    const longest = Math.max(...sets.map((set) => set.maxSlots));
    const { bpr, seed, shuffle } = this.#train;
    this.#pairs = config.loss === "bpr" ? pairsOf(data.train, config, bpr, seed, shuffle) : undefined;
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
    if (this.#pairs) this.#range.labelMin = lowLabel(data.train);
    this.#evaluated = new Map(sets.map((set) => [set, this.#pairs?.evaluated(set, session.kernels) ?? { data: set }]));
    const { middle } = cutsFor(config, this.#range);
    const watched = data.validation ?? (options.evaluateTrain ? data.train : undefined);
    if (this.#pairs && watched) checkRankable(this.#evaluated.get(watched)!, middle);
    this.#record = {
      version: VERSION,
      seed: this.#train.seed,
      ...this.#range,
      rows: data.train.rows,
      ...(initReport ? { init: initReport } : {}),
      bestEpoch: 0,
      train: this.#train,
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

  /**
   * Trains and tells: one start event, one event an epoch, one end event.
   *
   * @throws IfmError IFM_DIVERGED when the loss or a validation metric stops being finite; `model()` then still has the
   *         best weights so far
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<TrainEvent, void, undefined> {
    if (this.#iterated) throw new IfmError("IFM_USAGE", "trainer: a run can be iterated once; create another trainer");
    this.#iterated = true;
    const session = this.#alive();
    const { data, signal } = this.#options;
    const { epochs, earlyStop, samplePairs, sampleAfter } = this.#train;
    const stopping = new EarlyStopping(earlyStop);
    // What is left when training diverges before the end of the first epoch.
    this.#keep();
    const pass = new Pass(session, this.#train, this.#options, this.#range, this.#pairs);
    let seconds = 0;
    let epoch = 0;
    let reason: "epochs" | "early-stop" | "aborted" = "epochs";
    yield this.start;

    while (epoch < epochs) {
      if (signal?.aborted) {
        reason = "aborted";
        break;
      }
      const result = await pass.run(epoch + 1);
      if (result === "aborted") {
        reason = "aborted";
        break;
      }
      epoch++;
      seconds += result.seconds;
      // A model that has learnt with some of the pairs is measured with as many, those of the largest fields' vectors:
      // IFM on Frappe at a ratio of 0.5 has a validation RMSE of 0.357 with them, 0.540 with all.
      const ratio = pass.steps > sampleAfter ? samplePairs : 1;
      const measure = (set: Dataset) => this.#evaluate(set, epoch, ratio);
      const train = this.#options.evaluateTrain ? await measure(data.train) : result.metrics;
      const validation = data.validation && (await measure(data.validation));
      const test = data.test && (await measure(data.test));
      const watched = monitored(validation ?? train, session.config.loss);
      if (!Number.isFinite(watched) || !session.isFinite()) throw this.#diverged(epoch, "the weights");
      const improved = stopping.update(epoch, watched);
      // Without validation rows, or with early stopping off, the last epoch is what is kept.
      const best = improved || !validation || earlyStop === 0;
      if (best) {
        this.#keep();
        const metrics = { train, ...(validation ? { validation } : {}), ...(test ? { test } : {}) };
        this.#record = { ...this.#record, bestEpoch: epoch, metrics };
      }
      yield {
        event: "epoch",
        epoch,
        loss: result.loss,
        train,
        ...(validation ? { validation } : {}),
        ...(test ? { test } : {}),
        rowsPerSecond: pass.rows / result.seconds,
        seconds: result.seconds,
        best: improved,
      } satisfies EpochEvent;
      if (validation && stopping.shouldStop(epoch)) {
        reason = "early-stop";
        break;
      }
    }
    yield { event: "end", bestEpoch: this.#record.bestEpoch ?? 0, epochs: epoch, reason, seconds };
  }

  /**
   * The best weights so far; before the end of the first epoch, the weights as they are (or, if training has diverged,
   * as they were).
   */
  model(): Model {
    const weights = this.#weights();
    return new Model(this.#one, this.#alive().config, this.#record, (target) => target.parameters().set(weights));
  }

  /** @internal `model()` in the trainer's own memory, where there is none for a copy; the trainer is then disposed of. */
  intoModel(): Model {
    const session = this.#alive();
    session.parameters().set(this.#weights());
    this.dispose();
    return new Model(this.#one, session.config, this.#record, session);
  }

  #weights(): Float32Array {
    const session = this.#alive();
    const asTheyAre = this.#record.bestEpoch === 0 && session.isFinite();
    return this.#snapshot && !asTheyAre ? this.#snapshot : session.parameters();
  }

  /** Gives up the memory. */
  dispose(): void {
    this.#session?.dispose();
    this.#session = undefined;
    this.#snapshot = undefined;
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
    if (this.#snapshot) this.#snapshot.set(weights);
    else this.#snapshot = weights.slice();
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

  #diverged(epoch: number, what: string): IfmError {
    return divergence(`${what} stopped being finite at epoch ${epoch}`, this.#train);
  }
}

function divergence(what: string, { lr }: TrainConfig): IfmError {
  return new IfmError("IFM_DIVERGED", `training diverged: ${what} (lr ${lr})`, {
    hint: "try a smaller --lr, --clip-norm, or look for very large values with ifm-wasm check",
  });
}

/** A pair whose first score is the larger counts 2, one of equal scores 1. */
function twicePairsInOrder(scores: Float32Array): number {
  let twice = 0;
  for (let i = 0; i < scores.length; i += 2) {
    const [liked, other] = [scores[i]!, scores[i + 1]!];
    twice += liked > other ? 2 : Number(liked === other);
  }
  return twice;
}

/** Passes over the training rows. */
class Pass {
  readonly #session: Session;
  readonly #train: TrainConfig;
  readonly #options: TrainerOptions;
  readonly #range: LabelRange;
  readonly #pairs: Pairs | undefined;
  /** Rows that a pass visits. */
  readonly rows: number;
  readonly #roc: RocScores | undefined;
  readonly #labels: Float32Array;
  /** Batches so far. */
  steps = 0;
  /** When the event loop last had its turn; epochs may be shorter than a breath. */
  #breath = performance.now();
  /** β₁^t and β₂^t, by multiplication: Math.pow may differ between engines. */
  #beta1 = 1;
  #beta2 = 1;

  constructor(
    session: Session,
    train: TrainConfig,
    options: TrainerOptions,
    range: LabelRange,
    pairs: Pairs | undefined,
  ) {
    this.#session = session;
    this.#pairs = pairs;
    this.#train = train;
    this.#options = options;
    this.#range = range;
    const rows = options.data.train;
    this.rows = pairs ? 2 * pairs.count : rows.rows;
    const wantsRoc = !options.evaluateTrain && !pairs && hasTwoLabels(rows, range);
    this.#roc = wantsRoc ? new RocScores(rows, cutsFor(session.config, range).middle) : undefined;
    this.#labels = new Float32Array(wantsRoc ? Math.min(train.batchSize, rows.rows) : 0);
  }

  async run(epoch: number): Promise<{ loss: number; seconds: number; metrics: Metrics } | "aborted"> {
    const session = this.#session;
    const { reduction, shuffle, seed, epochs, adam } = this.#train;
    const { signal, onProgress } = this.#options;
    const rows = this.rows;
    // The loss is of rows, or of pairs of rows.
    const unit = this.#pairs ? 2 : 1;
    const batchSize = unit * this.#train.batchSize;
    const cuts = cutsFor(session.config, this.#range);
    session.takeSums();
    session.beginTraining();
    if (this.#pairs) this.#pairs.arrange(session.trainingRows(), session.kernels, epoch);
    else session.order(epoch, seed, shuffle);

    let loss = 0;
    let inOrder = 0; // twice the pairs that are in the right order; a tie is half in order
    let paused = 0; // not counted as training: progress, metrics, other turns of the event loop
    const started = performance.now();
    for (let first = 0, batch = 1; first < rows; first += batchSize, batch++) {
      const count = Math.min(batchSize, rows - first);
      this.#beta1 *= adam.beta1;
      this.#beta2 *= adam.beta2;
      const batchLoss = session.trainBatch({
        first,
        count,
        step: this.steps++,
        dyScale: reduction === "mean" ? unit / count : 1,
        correction1: 1 / (1 - this.#beta1),
        correction2: 1 / (1 - this.#beta2),
      });
      if (!Number.isFinite(batchLoss))
        throw divergence(`the loss became ${batchLoss} at epoch ${epoch}, batch ${batch}`, this.#train);
      loss += batchLoss;

      const pause = performance.now();
      session.addMetrics(cuts);
      if (this.#roc) {
        const labels = this.#labels.subarray(0, count);
        session.batchLabels(first, count, labels);
        this.#roc.add(session.batchScores(count), labels);
      }
      if (this.#pairs) inOrder += twicePairsInOrder(session.batchScores(count));
      if (pause - this.#breath > BREATH) {
        const seconds = (pause - started - paused) / 1000;
        onProgress?.({
          phase: "train",
          epoch,
          epochs,
          rows: first + count,
          totalRows: rows,
          rowsPerSecond: (first + count) / seconds,
        });
        await breathe();
        this.#breath = performance.now();
        if (signal?.aborted) {
          this.#roc?.take();
          return "aborted";
        }
      }
      paused += performance.now() - pause;
    }
    const seconds = (performance.now() - started - paused) / 1000;
    return {
      loss: reduction === "mean" ? (unit * loss) / rows : loss,
      seconds,
      metrics: {
        ...metricsFrom(session.takeSums(), rows, this.#roc?.take()),
        ...(this.#pairs ? { gauc: inOrder / rows } : {}),
      },
    };
  }
}
