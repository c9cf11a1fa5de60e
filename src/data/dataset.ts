import type { ErrorPlace } from "../errors.js";

/**
 * Rows of sparse features in CSR form: row r holds the slots `rowPtr[r] … rowPtr[r + 1] - 1`, in file order.
 * N = rows, nnz = non-zeros of all rows together.
 */
export interface Dataset {
  /** Where the rows came from, for messages. */
  readonly name: string;
  /** N. */
  readonly rows: number;
  /** Labels, f32[N]. */
  readonly labels: Float32Array;
  /** First slot of each row, u32[N + 1]; the last entry is nnz. */
  readonly rowPtr: Uint32Array;
  /** Feature ids, u32[nnz]. */
  readonly features: Uint32Array;
  /** Feature values, f32[nnz]; `null` when every value is 1. */
  readonly values: Float32Array | null;
  /** Largest feature id + 1; 0 when there is no feature. */
  readonly featureCount: number;
  /** Slots of the shortest and of the longest row. */
  readonly minSlots: number;
  readonly maxSlots: number;
  /** Smallest and largest label. */
  readonly labelMin: number;
  readonly labelMax: number;
  /** Line of the file, from 1, that row r (from 0) stood on; absent when the rows came from no file. */
  readonly lineOf?: (row: number) => number;
}

/** How many slots of the rows have a feature beyond a table of `features` rows. */
export function countUnknown(data: Dataset, features: number): number {
  return data.features.reduce((count, feature) => count + Number(feature >= features), 0);
}

/** Where a row of a data set stands, for messages. */
export function placeOf({ name, lineOf }: Dataset, row: number): ErrorPlace {
  return { file: name, ...(lineOf ? { line: lineOf(row) } : {}) };
}
