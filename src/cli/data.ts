import type { Dataset } from "../data/dataset.js";
import { loadDataset } from "../data/open.js";
import type { Model } from "../model/model.js";
import type { Io } from "./io.js";
import { unknownFeatures, warn } from "./report.js";

/** Reads rows for a model, warns of features that it does not know. */
export async function scoringData(model: Model, file: string, io: Io): Promise<Dataset> {
  const data = await loadDataset(file);
  const warning = unknownFeatures(model.unknownFeatures(data), data.features.length);
  if (warning !== "") warn(io, warning);
  return data;
}
