import { type ErrorPlace, IfmError } from "../errors.js";

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

/** Data sets that were looked at. */
const sound = new WeakSet<Dataset>();

/**
 * What kernels take for granted of rows, and make addresses of, whoever has made them. Each data set is looked at once.
 *
 * @throws IfmError IFM_DATA
 */
export function checkRows(data: Dataset): void {
  if (sound.has(data)) return;
  const { name, rows, labels, rowPtr, features, values, minSlots, maxSlots } = data;
  const wrong = (what: string, expected: string, found: unknown) => {
    const hint = "see Dataset in docs/API.md; loadDataset and readLibfm make such rows";
    return new IfmError("IFM_DATA", `${what}: expected ${expected}, found ${found}`, { file: name, hint });
  };
  const array = (what: string, found: ArrayLike<number>, kind: string, length: number) => {
    // `instanceof` does not know what comes from another realm.
    const is = Object.prototype.toString.call(found).slice(8, -1);
    if (is !== kind || found.length !== length) {
      throw wrong(what, `${kind} of length ${length}`, `${is} of length ${found?.length}`);
    }
  };
  array("labels", labels, "Float32Array", rows);
  array("rowPtr", rowPtr, "Uint32Array", rows + 1);
  array("features", features, "Uint32Array", features?.length);
  if (values !== null) array("values", values, "Float32Array", features.length);
  if (!(minSlots >= 0 && maxSlots <= features.length)) {
    throw wrong("minSlots, maxSlots", `numbers from 0 to ${features.length}`, `${minSlots}, ${maxSlots}`);
  }
  for (let r = 0; r < rows; r++) {
    const slots = rowPtr[r + 1]! - rowPtr[r]!;
    if (!(slots >= minSlots && slots <= maxSlots)) {
      throw wrong(`rowPtr: row ${r}`, `${minSlots} to ${maxSlots} slots`, slots);
    }
    // x - x is 0 for finite numbers only.
    if (labels[r]! - labels[r]! !== 0) throw wrong(`labels: row ${r}`, "a finite number", labels[r]);
  }
  if (rowPtr[rows]! > features.length) throw wrong("rowPtr", `at most ${features.length} slots`, rowPtr[rows]);
  for (let i = 0; values && i < values.length; i++) {
    if (values[i]! - values[i]! !== 0) throw wrong(`values: slot ${i}`, "a finite number", values[i]);
  }
  sound.add(data);
}
