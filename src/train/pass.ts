import { breathe } from "#runtime";
import type { TrainConfig } from "../config.js";
import type { Session } from "../wasm/session.js";
import { cutsFor, hasTwoLabels, type LabelRange, metricsFrom, RocScores } from "./metrics.js";
import type { Pairs } from "./pairs.js";
import type { Arrays, FitData, Metrics, Position, Progress } from "./types.js";

/** Milliseconds between two turns of the event loop while a pass runs. */
const BREATH = 50;

/** What a pass tells, and who may end it. */
export interface PassOptions {
  data: FitData;
  evaluateTrain?: boolean;
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

/** What a pass has come to; `diverged`: its last batch had a loss, a gradient or a weight that is not finite. */
export type PassResult = { loss: number; meanLoss: number; seconds: number; metrics: Metrics } | "aborted" | "diverged";

/** A pair whose first score is the larger counts 2, one of equal scores 1. */
function twicePairsInOrder(scores: Float32Array): number {
  let twice = 0;
  for (let i = 0; i < scores.length; i += 2) {
    const [liked, other] = [scores[i]!, scores[i + 1]!];
    twice += liked > other ? 2 : Number(liked === other);
  }
  return twice;
}

/** Passes over the training rows. Where they are is all in `position` and `arrays`, so that they can go on from there. */
export class Pass {
  readonly #session: Session;
  readonly #train: TrainConfig;
  readonly #options: PassOptions;
  readonly #range: LabelRange;
  readonly #pairs: Pairs | undefined;
  /** Rows that a pass visits. */
  readonly rows: number;
  /** Rows of a batch. */
  readonly batchSize: number;
  readonly #roc: RocScores | undefined;
  readonly #labels: Float32Array;
  position: Position = { epochs: 0, row: 0, steps: 0, beta1: 1, beta2: 1, loss: 0, inOrder: 0, seconds: 0 };
  /** Sums of a pass that is over, until the next one begins. */
  #sums: Float64Array | undefined;
  /** When the event loop last had its turn; epochs may be shorter than a breath. */
  #breath = performance.now();
  /** The loss of the batch that was computed last. */
  batchLoss = 0;

  constructor(session: Session, train: TrainConfig, options: PassOptions, range: LabelRange, pairs: Pairs | undefined) {
    this.#session = session;
    this.#pairs = pairs;
    this.#train = train;
    this.#options = options;
    this.#range = range;
    const rows = options.data.train;
    this.rows = pairs ? 2 * pairs.count : rows.rows;
    // The loss is of rows, or of pairs of rows.
    this.batchSize = (pairs ? 2 : 1) * train.batchSize;
    const wantsRoc = !options.evaluateTrain && !pairs && hasTwoLabels(rows, range);
    this.#roc = wantsRoc ? new RocScores(rows, cutsFor(session.config, range).middle) : undefined;
    this.#labels = new Float32Array(wantsRoc ? Math.min(train.batchSize, rows.rows) : 0);
  }

  /** Whether the last batch had a loss, a gradient or a weight that is not finite. */
  get diverged(): boolean {
    return !Number.isFinite(this.batchLoss) || this.#session.diverged;
  }

  /** Everything that batches change, as it is: views. */
  arrays(): Arrays {
    const [weights, state1, state2] = this.#session.stepped();
    const [positives, negatives] = this.#roc?.scores() ?? [];
    return {
      weights: weights!,
      ...(state1 && { state1 }),
      ...(state2 && { state2 }),
      sums: this.#sums ?? this.#session.sums(),
      ...(positives && { positives }),
      ...(negatives && { negatives }),
    };
  }

  /** Whether an array of `arrays` can have so many numbers. */
  canHave(name: string, length: number): boolean {
    if (name === "positives" || name === "negatives") return length <= (this.#roc?.most(name) ?? 0);
    return this.arrays()[name]?.length === length;
  }

  /** Room for so many numbers of `arrays` that is to be gone on from; undefined when there are never so many. */
  room(name: string, length: number): Float32Array | Float64Array | undefined {
    if (name === "sums") this.#sums = undefined;
    const found = name === "positives" || name === "negatives" ? this.#roc?.room(name, length) : this.arrays()[name];
    return found?.length === length ? found : undefined;
  }

  /** An epoch is done and counted. */
  endEpoch(): void {
    const { position } = this;
    this.position = { ...position, epochs: position.epochs + 1, row: 0, loss: 0, inOrder: 0, seconds: 0 };
    this.#sums = undefined;
    this.#session.takeSums();
    this.#roc?.clear();
  }

  /**
   * Trains on what is left of the rows of an epoch.
   *
   * @param afterBatch called between two batches; what it returns is waited for
   */
  async run(afterBatch: () => Promise<void> | undefined): Promise<PassResult> {
    const session = this.#session;
    const { reduction, shuffle, seed, epochs, adam } = this.#train;
    const { signal, onProgress } = this.#options;
    const { rows, batchSize, position } = this;
    const unit = this.#pairs ? 2 : 1;
    const cuts = cutsFor(session.config, this.#range);
    const epoch = position.epochs + 1;
    session.beginTraining();
    if (this.#pairs) this.#pairs.arrange(session.trainingRows(), session.kernels, epoch);
    else session.order(epoch, seed, shuffle);

    const before = position.seconds;
    let paused = 0; // not counted as training: progress, metrics, other turns of the event loop
    const started = performance.now();
    while (position.row < rows) {
      const first = position.row;
      const count = Math.min(batchSize, rows - first);
      // By multiplication: Math.pow may differ between engines.
      position.beta1 *= adam.beta1;
      position.beta2 *= adam.beta2;
      this.batchLoss = session.trainBatch({
        first,
        count,
        step: position.steps,
        dyScale: reduction === "mean" ? unit / count : 1,
        correction1: 1 / (1 - position.beta1),
        correction2: 1 / (1 - position.beta2),
      });
      if (this.diverged) return "diverged";
      position.steps++;
      position.loss += this.batchLoss;
      position.row = first + count;

      const pause = performance.now();
      session.addMetrics(cuts);
      if (this.#roc) {
        const labels = this.#labels.subarray(0, count);
        session.batchLabels(first, count, labels);
        this.#roc.add(session.batchScores(count), labels);
      }
      if (this.#pairs) position.inOrder += twicePairsInOrder(session.batchScores(count));
      position.seconds = before + (pause - started - paused) / 1000;
      const writing = position.row < rows ? afterBatch() : undefined;
      if (writing) await writing;
      if (pause - this.#breath > BREATH) {
        onProgress?.({
          phase: "train",
          epoch,
          epochs,
          rows: position.row,
          totalRows: rows,
          rowsPerSecond: position.row / position.seconds,
        });
        await breathe();
        this.#breath = performance.now();
        if (signal?.aborted) return "aborted";
      }
      paused += performance.now() - pause;
    }
    this.#sums ??= session.sums().slice();
    const meanLoss = (unit * position.loss) / rows;
    return {
      loss: reduction === "mean" ? meanLoss : position.loss,
      meanLoss,
      seconds: position.seconds,
      metrics: {
        ...metricsFrom(session.takeSums(), rows, this.#roc?.area()),
        ...(this.#pairs ? { gauc: position.inOrder / rows } : {}),
      },
    };
  }
}
