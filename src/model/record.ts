import type { TrainConfig } from "../config.js";
import type { InitReport, Metrics } from "../train/types.js";

/** How a model came to be. Part of the model file; nothing in it depends on the clock. */
export interface TrainingRecord {
  /** Version of the package that trained it. */
  version?: string;
  seed?: number;
  /** Label range of the training rows: predictions are clipped to it for rmse and mae. */
  labelMin?: number;
  labelMax?: number;
  rows?: number;
  /** Which tensors it started with, when it was not all from the seed. */
  init?: InitReport;
  bestEpoch?: number;
  train?: TrainConfig;
  /** How often the learning rate was halved because training diverged (`--on-divergence retry`). */
  retries?: number;
  metrics?: { train?: Metrics; validation?: Metrics; test?: Metrics };
}
