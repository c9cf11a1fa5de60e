import { IfmError } from "../errors.js";

/** The labels that a model was trained on, as far as known; its `record` is one. */
export interface TrainedLabels {
  /** Smallest and largest label of the training rows; when absent, of the rows at hand. */
  labelMin?: number | undefined;
  labelMax?: number | undefined;
}

/** What labels say. */
export interface Classes {
  /** Labels above it are positive: the middle of the range or, where all labels are the same, 0. */
  readonly middle: number;
  /** First row whose label is none of the two ends of the range; -1 when the labels are two-valued. */
  readonly otherRow: number;
}

export function classesOf(labels: Float32Array, { labelMin, labelMax }: TrainedLabels): Classes {
  const low = labelMin ?? labels.reduce((least, label) => Math.min(least, label), Number.POSITIVE_INFINITY);
  const high = labelMax ?? labels.reduce((most, label) => Math.max(most, label), Number.NEGATIVE_INFINITY);
  return {
    middle: low < high ? (low + high) / 2 : 0,
    otherRow: labels.findIndex((label) => label !== low && label !== high),
  };
}

/** @throws IfmError IFM_USAGE when there is not one number for each row */
export function checkRows(name: string, values: Float32Array, rows: number): void {
  if (values.length !== rows) {
    throw new IfmError("IFM_USAGE", `${name}: expected one for each of ${rows} rows, got ${values.length}`);
  }
  const lost = values.findIndex(Number.isNaN);
  if (lost >= 0) throw new IfmError("IFM_USAGE", `${name}: expected numbers, found NaN in row ${lost + 1}`);
}

/** @throws IfmError IFM_USAGE */
export function checkCount(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  throw new IfmError("IFM_USAGE", `${name}: expected a whole number >= 1, got ${value}`);
}
