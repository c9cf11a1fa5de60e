import type { Dataset } from "../data/dataset.js";
import { loadDataset } from "../data/open.js";
import { IfmError } from "../errors.js";
import type { Model } from "../model/model.js";
import type { Io } from "./io.js";
import { unknownFeatures, warn } from "./report.js";

/** A data set and the file that it was read from. */
export interface LoadedFile {
  file: string;
  data: Dataset;
}

/**
 * Runs `action`, which may find that rows do not have the number of slots that a model needs. Data sets do not know
 * their lines, so then the files are read once more, for an error that names the line.
 *
 * @param slots Slots that a row should have; undefined when any number will do.
 */
export async function namingLines<T>(
  loaded: readonly LoadedFile[],
  slots: number | undefined,
  action: () => T | Promise<T>,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof IfmError && error.code === "IFM_DATA" && error.line === undefined && slots !== undefined) {
      for (const { file, data } of loaded) {
        if (file !== "-" && (data.minSlots !== slots || data.maxSlots !== slots)) await loadDataset(file, { slots });
      }
    }
    throw error;
  }
}

/** Reads rows for a model, warns of features that it does not know, and runs `action` on them. */
export async function scoringData<T>(model: Model, file: string, io: Io, action: (data: Dataset) => T): Promise<T> {
  const data = await loadDataset(file);
  const slots = model.config.model === "fm" ? undefined : model.config.fieldOfSlot.length;
  return namingLines([{ file, data }], slots, () => {
    const warning = unknownFeatures(model.unknownFeatures(data), data.features.length);
    if (warning !== "") warn(io, warning);
    return action(data);
  });
}
