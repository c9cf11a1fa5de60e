import { type CachedRead, loadCached } from "../data/cache.js";
import type { Dataset } from "../data/dataset.js";
import { loadDataset } from "../data/open.js";
import type { Model } from "../model/model.js";
import { percent } from "./format.js";
import type { Io } from "./io.js";
import type { PredictValues, TrainValues } from "./options.js";
import { unknownFeatures, warn } from "./report.js";

/**
 * Reads rows, from a cache where that is wanted and there is one.
 *
 * @throws IfmError as `loadDataset`
 */
export async function readRows(
  file: string,
  { cache, plan }: Pick<TrainValues, "cache" | "plan">,
): Promise<CachedRead> {
  if (cache === false) return { data: await loadDataset(file, { movable: true }), fromCache: false };
  return loadCached(file, { write: plan !== true });
}

/** Reads rows for a model; warns of features that it does not know, and when it was trained to look at fewer pairs. */
export async function scoringData(
  model: Model,
  file: string,
  { samplePairs, ...options }: Pick<PredictValues, "samplePairs" | "cache">,
  io: Io,
): Promise<Dataset> {
  const { data } = await readRows(file, options);
  const warning = unknownFeatures(model.unknownFeatures(data), data.features.length);
  if (warning !== "") warn(io, warning);
  const trained = model.record.train?.samplePairs ?? 1;
  if (trained < 1 && samplePairs === undefined) {
    warn(
      io,
      `the model was trained with ${percent(trained)} of the pairs and is scored with all: see --sample-pairs ${trained}`,
    );
  }
  return data;
}
