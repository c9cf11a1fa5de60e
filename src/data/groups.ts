import { IfmError } from "../errors.js";
import { type Dataset, placeOf } from "./dataset.js";

/** Rows that belong together: one user's, one session's, one query's. */
export interface Groups {
  /** Number of groups. */
  readonly count: number;
  /** Group of each row, u32[rows], numbered from 0 in the order in which they first occur. */
  readonly of: Uint32Array;
}

/**
 * Groups rows that have the same features in some slots; values do not matter. O(rows · slots).
 *
 * @param slots positions in a row, from 0
 * @throws IfmError IFM_DATA when a row is too short to have one of them
 */
export function groupRows(data: Dataset, slots: readonly number[]): Groups {
  const { rows, rowPtr, features } = data;
  const needed = Math.max(...slots) + 1;
  const of = new Uint32Array(rows);
  let count = Math.min(1, rows);
  for (const slot of slots) {
    // Both numberings are dense and at most `rows`, so a pair of them is exact in a double.
    const numberOf = new Map<number, number>();
    const groupOf = new Map<number, number>();
    for (let r = 0; r < rows; r++) {
      const at = rowPtr[r]! + slot;
      if (at >= rowPtr[r + 1]!) throw tooShort(data, r, needed);
      const id = numbered(numberOf, features[at]!);
      of[r] = numbered(groupOf, of[r]! * rows + id);
    }
    count = groupOf.size;
  }
  return { count, of };
}

/** Slots of a row that belong to one of the fields; the fields are the slots' positions where nothing else is said. */
export function slotsOfFields(fields: readonly number[], fieldOfSlot: readonly number[]): number[] {
  if (fieldOfSlot.length === 0) return [...fields];
  return fields.flatMap((field) => {
    const slots = fieldOfSlot.flatMap((own, slot) => (own === field ? [slot] : []));
    if (slots.length > 0) return slots;
    const known = [...new Set(fieldOfSlot)].sort((a, b) => a - b);
    throw new IfmError("IFM_USAGE", `groupBy: there is no field ${field}, expected some of ${known.join(", ")}`);
  });
}

/** The number of a key, the next one when it is new. */
function numbered(numbers: Map<number, number>, key: number): number {
  let number = numbers.get(key);
  if (number === undefined) {
    number = numbers.size;
    numbers.set(key, number);
  }
  return number;
}

function tooShort(data: Dataset, row: number, needed: number): IfmError {
  const found = data.rowPtr[row + 1]! - data.rowPtr[row]!;
  return new IfmError(
    "IFM_DATA",
    `row ${row + 1} has ${found} slots, expected at least ${needed} to group by`,
    placeOf(data, row),
  );
}
