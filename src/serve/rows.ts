import type { CandidateTable, FeatureRow, FeatureSlots } from "../model/slots.js";
import { array, object, whole } from "./check.js";
import type { Limits } from "./limits.js";
import { type Path, wrong } from "./problem.js";

/** Largest number in a 32-bit float. */
export const LARGEST_VALUE = 3.4028234663852886e38;

/** Largest id; most ids are unknown to any model. */
export const LARGEST_ID = Number.MAX_SAFE_INTEGER;

/** Slots of a row: `exactly` so many, or at most. */
export interface Width {
  most: number;
  exactly?: number;
}

/** A row: `{ features, values? }`. */
export function readRow(value: unknown, path: Path, width: Width): FeatureRow {
  const { features, values } = object(value, path, ["features", "values"]);
  const ids = readIds(features, [...path, "features"], width);
  return {
    features: ids,
    ...(values !== undefined && { values: readValues(values, [...path, "values"], ids.length) }),
  };
}

/** A part of a row: `{ features, values?, slots? }`. */
export function readSlots(value: unknown, path: Path, { maxSlots }: Limits): FeatureSlots {
  const { features, values, slots } = object(value, path, ["features", "values", "slots"]);
  const row = readRow({ features, ...(values !== undefined && { values }) }, path, { most: maxSlots });
  return { ...row, ...(slots !== undefined && { slots: readPositions(slots, [...path, "slots"], maxSlots) }) };
}

/** Candidates: `[{ features, values? }, …]`, or a table `{ count, features, values?, slots? }`. */
export function readCandidates(value: unknown, limits: Limits): CandidateTable | readonly FeatureRow[] {
  const path = ["candidates"];
  const { maxCandidates, maxSlots } = limits;
  if (Array.isArray(value)) {
    const rows = array(value, path, maxCandidates);
    return rows.map((row, r) => readRow(row, [...path, r], { most: maxSlots }));
  }
  const { count, features, values, slots } = object(value, path, ["count", "features", "values", "slots"]);
  const rows = whole(count, [...path, "count"], 0, maxCandidates);
  const ids = readIds(features, [...path, "features"], { most: maxCandidates * maxSlots });
  const width = rows === 0 ? ids.length : ids.length / rows;
  if (!Number.isInteger(width) || (rows === 0 && width > 0)) {
    throw wrong([...path, "features"], `as many features for each of ${rows} candidates`, features);
  }
  if (width > maxSlots) throw wrong([...path, "features"], `at most ${maxSlots} features a candidate`, features);
  return {
    count: rows,
    features: ids,
    ...(values !== undefined && { values: readValues(values, [...path, "values"], ids.length) }),
    ...(slots !== undefined && { slots: readPositions(slots, [...path, "slots"], maxSlots) }),
  };
}

/** Feature ids. */
export function readIds(value: unknown, path: Path, { most, exactly }: Width): readonly number[] {
  const ids = array(value, path, exactly ?? most);
  if (exactly !== undefined && ids.length !== exactly) throw wrong(path, `an array of ${exactly}`, ids);
  ids.forEach((id, i) => {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > LARGEST_ID) {
      throw wrong([...path, i], `a feature's id, a whole number from 0 to ${LARGEST_ID}`, id);
    }
  });
  return ids as readonly number[];
}

/** One value a feature. */
export function readValues(value: unknown, path: Path, length: number): readonly number[] {
  const values = array(value, path, Number.MAX_SAFE_INTEGER);
  if (values.length !== length) throw wrong(path, `an array of ${length}, one value a feature`, values);
  values.forEach((number, i) => {
    if (typeof number !== "number" || !(Math.abs(number) <= LARGEST_VALUE)) {
      throw wrong([...path, i], "a number that is finite as a 32-bit float", number);
    }
  });
  return values as readonly number[];
}

function readPositions(value: unknown, path: Path, maxSlots: number): readonly number[] {
  const positions = array(value, path, maxSlots);
  return positions.map((position, i) => whole(position, [...path, i], 0, 2 * maxSlots - 1));
}
