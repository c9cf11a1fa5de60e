/** The entry `ifm-wasm/metrics`: what `Model.evaluate` does not measure. */
export { type Groups, groupRows, slotsOfFields } from "./data/groups.js";
export { type Calibration, type CalibrationBin, type CalibrationOptions, calibration } from "./metrics/calibration.js";
export type { TrainedLabels } from "./metrics/labels.js";
export { type RankingMetrics, type RankingOptions, rankingMetrics } from "./metrics/ranking.js";
