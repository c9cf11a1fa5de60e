import type { ModelConfig, ModelKind, TrainConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";

/** Metrics of one data set. The last four are there for two-valued labels only. */
export interface Metrics {
  rows: number;
  /** Root mean squared error, predictions clipped to the label range of the training data. */
  rmse: number;
  /** Mean absolute error, clipped likewise. */
  mae: number;
  /** Mean of log(1 + exp(-y ŷ)), y = ±1, ŷ the raw score. */
  logloss?: number;
  /** Area under the ROC curve, exact, ties count half; NaN when only one class occurs. */
  auc?: number;
  accuracy?: number;
  f1?: number;
  /**
   * With the loss `bpr`: area under the ROC curve within each group, mean weighted by rows. Of a training pass: the
   * share of its pairs that were in the right order.
   */
  gauc?: number;
}

/** What became of the tensors of an initial model. */
export interface InitReport {
  /** What kind of model it is. */
  model: ModelKind;
  taken: string[];
  /** Those that were not, and why. */
  left: { name: string; reason: string }[];
  /** Tensors that it does not give: they start from the seed. */
  fresh: string[];
}

export interface StartEvent {
  event: "start";
  model: ModelConfig;
  train: TrainConfig;
  rows: { train: number; validation?: number; test?: number };
  /** Trainable numbers of the model. */
  parameters: number;
  /** Bytes of linear memory that training uses. */
  memoryBytes: number;
  /** Threads that compute. */
  threads: number;
  init?: InitReport;
  /** Slots whose feature id is beyond the table (with an initial model): they contribute nothing. */
  unknownFeatures: { train: number; validation?: number; test?: number };
  /** Where a checkpoint has taken it: epochs that are done, rows of the next that are, batches so far. */
  resumed?: { epochs: number; row: number; steps: number };
}

export interface EpochEvent {
  event: "epoch";
  /** Counted from 1. */
  epoch: number;
  /** Sum (reduction sum) or mean (reduction mean) of the loss over the rows of the epoch, without regularisation. */
  loss: number;
  /** Metrics of the training pass itself, or of a separate evaluation with `evaluateTrain`. */
  train: Metrics;
  validation?: Metrics;
  test?: Metrics;
  /** Rows trained per second of training; evaluation not counted. */
  rowsPerSecond: number;
  /** Seconds of training in this epoch. */
  seconds: number;
  /** Whether this epoch is the best so far on the monitored metric. */
  best: boolean;
}

/** Training has diverged, and goes on from the last good state with half the learning rate. */
export interface RollbackEvent {
  event: "rollback";
  /** Where it diverged; both from 1. */
  epoch: number;
  batch: number;
  /** The epoch at whose end it goes on; 0 is the start. */
  to: number;
  /** Rows of the next epoch that are done there, when it is a checkpoint within an epoch that it goes on from. */
  row?: number;
  /** The learning rate from now on. */
  lr: number;
  /** Which time it is, of how many at most. */
  retry: number;
  retries: number;
  /** What stopped being finite, and where. */
  message: string;
}

export interface EndEvent {
  event: "end";
  /** Epoch whose weights the model holds; 0 when no epoch was completed. */
  bestEpoch: number;
  epochs: number;
  /** Why training ended. */
  reason: "epochs" | "early-stop" | "aborted";
  seconds: number;
}

export type TrainEvent = StartEvent | EpochEvent | RollbackEvent | EndEvent;

/** Where a running epoch is; sent about ten times a second. */
export interface Progress {
  phase: "train" | "evaluate";
  epoch: number;
  epochs: number;
  rows: number;
  totalRows: number;
  rowsPerSecond: number;
}

export interface FitData {
  train: Dataset;
  validation?: Dataset;
  test?: Dataset;
}

/** How far a training is, in numbers. */
export interface Position {
  /** Epochs that are done. */
  epochs: number;
  /** Rows visited of the epoch that is under way. */
  row: number;
  /** Batches so far. */
  steps: number;
  /** β₁^t and β₂^t. */
  beta1: number;
  beta2: number;
  /** Of the epoch that is under way: sum of the losses, twice the pairs in the right order (a tie is one), seconds. */
  loss: number;
  inOrder: number;
  seconds: number;
}

/** Arrays by name. */
export type Arrays = Record<string, Float32Array | Float64Array>;

/** The weights that the model will have. */
export interface Kept {
  weights: Float32Array | undefined;
  /** Batches that they have come of. */
  steps: number;
  /** Their epoch, and how often the learning rate had been halved; none before the end of the first. */
  event: EpochEvent | undefined;
  retries: number;
}

/** What was best at a state to go back to. */
export interface GoodMark extends Omit<Kept, "weights"> {
  best: number;
  bestEpoch: number;
}
