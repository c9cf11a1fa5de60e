import type { Dataset } from "../data/dataset.js";
import { IfmError } from "../errors.js";

/** A row, or a part of one: ids and numbers. */
export interface FeatureRow {
  /** Feature ids; those that the model does not know contribute nothing. */
  features: ArrayLike<number>;
  /** Their values; 1 when absent. */
  values?: ArrayLike<number>;
}

/** A part of a row, and where in the row it stands. */
export interface FeatureSlots extends FeatureRow {
  /** Position in the row of each slot, from 0. FM, to which positions mean nothing, does not look at them. */
  slots?: ArrayLike<number>;
}

/** As many slots for each of `count` candidates, one candidate after the other. */
export interface CandidateTable extends FeatureSlots {
  count: number;
}

/** Rows, or parts of rows, in CSR form. */
export interface SlotTable {
  count: number;
  /** First slot of each row, u32[count + 1]. */
  rowPtr: Uint32Array;
  /** Slots of the longest row. */
  longest: number;
  features: Uint32Array;
  /** f32[slots of all rows]; `null` when every value is 1. */
  values: Float32Array | null;
}

const LAST_ID = 0xffffffff;

function invalid(message: string, hint: string): IfmError {
  return new IfmError("IFM_DATA", message, { hint });
}

/** Ids as u32; what no model can have as an id, such as 2⁴⁰, becomes the last. */
function idsOf(where: string, features: ArrayLike<number>): Uint32Array {
  if (features instanceof Uint32Array) return features;
  const ids = new Uint32Array(features?.length);
  for (let i = 0; i < ids.length; i++) {
    const id = features[i]!;
    if (!Number.isInteger(id) || id < 0) {
      throw invalid(
        `${where}: features[${i}]: expected a whole number from 0, found ${show(id)}`,
        "a feature's id is its row in the model's table; ids beyond the table count as unknown",
      );
    }
    ids[i] = Math.min(id, LAST_ID);
  }
  return ids;
}

function numbersOf(where: string, values: ArrayLike<number>, length: number): Float32Array {
  if (values.length !== length) {
    throw invalid(`${where}: expected ${length} values, found ${values.length}`, "one value a feature, or none at all");
  }
  const numbers = Float32Array.from(values);
  const bad = numbers.findIndex((value, i) => !Number.isFinite(value) || typeof values[i] !== "number");
  if (bad !== -1) {
    throw invalid(
      `${where}: values[${bad}]: expected a finite number, found ${show(values[bad])}`,
      "leave such slots out",
    );
  }
  return numbers;
}

const show = (value: unknown) => (typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : String(value));

/** @throws IfmError IFM_DATA */
export function tableOfRows(where: string, rows: readonly FeatureRow[]): SlotTable {
  const rowPtr = new Uint32Array(rows.length + 1);
  let longest = 0;
  const parts = rows.map((row, r) => {
    if (typeof row?.features?.length !== "number") {
      throw invalid(`${where}: row ${r}: expected { features, values }, found ${show(row)}`, "see docs/API.md");
    }
    const ids = idsOf(`${where}: row ${r}`, row.features);
    rowPtr[r + 1] = rowPtr[r]! + ids.length;
    longest = Math.max(longest, ids.length);
    return ids;
  });
  const features = new Uint32Array(rowPtr[rows.length]!);
  parts.forEach((ids, r) => {
    features.set(ids, rowPtr[r]);
  });
  let values: Float32Array | null = null;
  rows.forEach((row, r) => {
    if (!row.values) return;
    values ??= new Float32Array(features.length).fill(1);
    values.set(numbersOf(`${where}: row ${r}`, row.values, parts[r]!.length), rowPtr[r]);
  });
  return { count: rows.length, rowPtr, longest, features, values };
}

/** @throws IfmError IFM_DATA */
export function tableOfCandidates(candidates: CandidateTable | readonly FeatureRow[]): SlotTable {
  if (isRows(candidates)) return tableOfRows("candidates", candidates);
  const { count, features } = candidates ?? {};
  if (typeof features?.length !== "number") {
    throw invalid(`candidates: expected rows, or { count, features }, found ${show(candidates)}`, "see docs/API.md");
  }
  const width = features.length / count;
  const whole = count === 0 ? features.length === 0 : Number.isInteger(width) && width > 0;
  if (!Number.isSafeInteger(count) || count < 0 || !whole) {
    throw invalid(
      `candidates: expected as many features for each of count candidates, found ${features.length} for ${show(count)}`,
      "features holds the slots of the first candidate, then those of the second, …",
    );
  }
  const ids = idsOf("candidates", features);
  const values = candidates.values ? numbersOf("candidates", candidates.values, ids.length) : null;
  const rowPtr = new Uint32Array(count + 1);
  for (let r = 1; r <= count; r++) rowPtr[r] = r * width;
  return { count, rowPtr, longest: count === 0 ? 0 : width, features: ids, values };
}

function isRows(candidates: CandidateTable | readonly FeatureRow[]): candidates is readonly FeatureRow[] {
  return Array.isArray(candidates);
}

/**
 * Where in a row of `length` slots its two parts stand: as said, or else, the first part first, where there is room.
 *
 * @throws IfmError IFM_DATA when they do not fill the row
 */
export function positionsOf(
  length: number,
  context: { count: number; slots: ArrayLike<number> | undefined },
  candidate: { count: number; slots: ArrayLike<number> | undefined },
): { context: number[]; candidate: number[] } {
  const free = new Set(Array.from({ length }, (_, slot) => slot));
  const take = (where: string, { count, slots }: typeof context) => {
    if (slots === undefined) return undefined;
    const taken = Array.from(slots);
    if (taken.length !== count || !taken.every((slot) => free.delete(slot))) {
      throw invalid(
        `${where}: slots: expected ${count} different positions from 0 to ${length - 1}, found [${taken}]`,
        "each slot of the row stands in the context or in the candidates, once",
      );
    }
    return taken;
  };
  const given = { context: take("context", context), candidate: take("candidates", candidate) };
  const rest = [...free];
  return {
    context: given.context ?? rest.splice(0, context.count),
    candidate: given.candidate ?? rest.splice(0, candidate.count),
  };
}

/** Rows without labels as a data set. */
export function datasetOf({ count, rowPtr, longest, features, values }: SlotTable): Dataset {
  let minSlots = longest;
  for (let r = 0; r < count; r++) minSlots = Math.min(minSlots, rowPtr[r + 1]! - rowPtr[r]!);
  const labels = new Float32Array(count);
  return {
    name: "rows",
    rows: count,
    labels,
    rowPtr,
    features,
    values,
    featureCount: 0,
    minSlots,
    maxSlots: longest,
    labelMin: 0,
    labelMax: 0,
  };
}
