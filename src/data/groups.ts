import { IfmError } from "../errors.js";
import { type Dataset, placeOf } from "./dataset.js";

/** Rows that belong together: one user's, one session's, one query's. */
export interface Groups {
  /** Number of groups. */
  readonly count: number;
  /** Group of each row, u32[rows], numbered from 0 in the order in which they first occur. */
  readonly of: Uint32Array;
}

/** Both factors of a pair of numbers stay below it: no Map holds more keys. */
const MOST = 2 ** 24;

/** Numbers rows by their features in some slots; values do not matter. Data sets that it numbers share the numbers. */
export class Grouping {
  readonly #slots: readonly number[];
  /** For each slot, the number of a feature, and of a pair (number up to here, number of the feature). */
  readonly #numbers: { ofFeature: Map<number, number>; ofPair: Map<number, number> }[];

  /** @param slots positions in a row, from 0; at least one */
  constructor(slots: readonly number[]) {
    this.#slots = slots;
    this.#numbers = slots.map(() => ({ ofFeature: new Map(), ofPair: new Map() }));
  }

  /** Groups so far. */
  get count(): number {
    return this.#numbers.at(-1)!.ofPair.size;
  }

  /**
   * Group of each row, u32[rows]. O(rows · slots).
   *
   * @throws IfmError IFM_DATA when a row is too short to have one of the slots
   */
  of(data: Dataset): Uint32Array {
    const { rows, rowPtr, features } = data;
    const groups = new Uint32Array(rows);
    this.#slots.forEach((slot, i) => {
      const { ofFeature, ofPair } = this.#numbers[i]!;
      for (let r = 0; r < rows; r++) {
        const at = rowPtr[r]! + slot;
        if (at >= rowPtr[r + 1]!) throw tooShort(data, r, Math.max(...this.#slots) + 1);
        groups[r] = numbered(ofPair, groups[r]! * MOST + numbered(ofFeature, features[at]!));
      }
    });
    return groups;
  }
}

/**
 * Groups the rows of one data set.
 *
 * @param slots positions in a row, from 0; at least one
 * @throws IfmError IFM_DATA when a row is too short to have one of them; IFM_USAGE when they are no positions
 */
export function groupRows(data: Dataset, slots: readonly number[]): Groups {
  if (slots.length === 0 || !slots.every((slot) => Number.isInteger(slot) && slot >= 0)) {
    throw new IfmError("IFM_USAGE", `slots: expected whole numbers >= 0, at least one, got [${slots.join(", ")}]`);
  }
  const grouping = new Grouping(slots);
  const of = grouping.of(data);
  return { count: grouping.count, of };
}

/** Slots of a row that belong to one of the fields; the fields are the slots' positions where nothing else is said. */
export function slotsOfFields(fields: readonly number[], fieldOfSlot: readonly number[], option = "groupBy"): number[] {
  if (fieldOfSlot.length === 0) return [...fields];
  return fields.flatMap((field) => {
    const slots = fieldOfSlot.flatMap((own, slot) => (own === field ? [slot] : []));
    if (slots.length > 0) return slots;
    const known = [...new Set(fieldOfSlot)].sort((a, b) => a - b);
    throw new IfmError("IFM_USAGE", `${option}: there is no field ${field}, expected some of ${known.join(", ")}`);
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
