/** The package's entry for pages that train in a web worker. */

export type {
  Activation,
  L2,
  Loss,
  ModelConfig,
  ModelKind,
  OptimizerKind,
  Reduction,
  TemperatureOn,
  TrainConfig,
} from "./config.js";
export type { Dataset } from "./data/dataset.js";
export { type ErrorCode, IfmError } from "./errors.js";
export type { Explanation, NetworkContribution, PairContribution } from "./model/explanation.js";
export type { PredictOptions } from "./model/model.js";
export type { Ranking, RankOptions } from "./model/rank.js";
export type { TrainingRecord } from "./model/record.js";
export type { CandidateTable, FeatureRow, FeatureSlots } from "./model/slots.js";
export { readOpfsFile, removeOpfsEntry } from "./opfs.js";
export type { EvaluateOptions } from "./train/metrics.js";
export type { TrainOptions } from "./train/trainer.js";
export type {
  EndEvent,
  EpochEvent,
  Metrics,
  Progress,
  RollbackEvent,
  StartEvent,
  TrainEvent,
} from "./train/types.js";
export type { KernelSource } from "./wasm/compile.js";
export {
  createTrainer,
  loadModel,
  type ReadRowsOptions,
  readRows,
  type WorkerModelOptions,
  type WorkerTrainerOptions,
} from "./worker/client.js";
export type { WorkerModel } from "./worker/model.js";
export type { ByteSource, RowSource } from "./worker/packing.js";
export type { ProgressEvent, ReadingProgress, WorkerCheckpoints, WorkerEvent } from "./worker/protocol.js";
export type { WorkerTrainer } from "./worker/trainer.js";
