/** The entry `ifm-wasm/predict`: models that score rows, without what trains them. */
export type { ModelConfig, ModelKind } from "./config.js";
export type { Dataset } from "./data/dataset.js";
export type { LibfmOptions } from "./data/libfm.js";
export { type LibfmSource, readLibfm } from "./data/read.js";
export { type ErrorCode, IfmError } from "./errors.js";
export type { Explanation, NetworkContribution, PairContribution } from "./model/explanation.js";
export { type LoadOptions, Model, type ModelSource, type PredictOptions } from "./model/model.js";
export type { Ranking, RankOptions } from "./model/rank.js";
export type { TrainingRecord } from "./model/record.js";
export type { CandidateTable, FeatureRow, FeatureSlots } from "./model/slots.js";
export type { EvaluateOptions } from "./train/metrics.js";
export type { Metrics } from "./train/types.js";
export { VERSION } from "./version.js";
export type { KernelSource } from "./wasm/compile.js";
export type { ComputeOptions } from "./wasm/load.js";
