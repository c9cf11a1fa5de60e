import type { Dataset } from "../../src/data/dataset.js";
import { readLibfm } from "../../src/data/read.js";
import type { RefRow } from "../reference/index.js";
import { Random } from "./random.js";

/** Rows as libFM text. */
export function libfmText(rows: readonly RefRow[]): string {
  return rows
    .map(({ label, slots }) => `${[label, ...slots.map((s) => `${s.feature}:${s.value}`)].join(" ")}\n`)
    .join("");
}

export function parse(rows: readonly RefRow[], name = "rows"): Promise<Dataset> {
  return readLibfm(libfmText(rows), { name });
}

/** Features of a field of the planted rows. */
const PER_FIELD = 6;

/**
 * Rows of three fields whose label depends on the pair of the first two alone: 1 where both features are even or both
 * odd. No single feature says anything, so that a linear model learns nothing; the third field is noise.
 *
 * @param low the label of the others: -1 or 0
 */
export function plantedRows(count: number, seed: number, low = -1): RefRow[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const [a, b, c] = [random.int(PER_FIELD), random.int(PER_FIELD), random.int(PER_FIELD)] as const;
    const slots = [a, PER_FIELD + b, 2 * PER_FIELD + c].map((feature) => ({ feature, value: 1 }));
    return { label: a % 2 === b % 2 ? 1 : low, slots };
  });
}

/** Rows like them whose labels are coin throws: what is learnt from some says nothing of others. */
export function noiseRows(count: number, seed: number): RefRow[] {
  const random = new Random(seed);
  return plantedRows(count, seed + 1).map((row) => ({ ...row, label: random.pick([1, -1]) }));
}
