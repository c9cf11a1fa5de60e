import type { IfmError } from "../errors.js";
import type { Dataset } from "./dataset.js";
import { IdSet } from "./id-set.js";
import { type LibfmOptions, LibfmParser, type LibfmText, pushAll } from "./libfm.js";

/** How often something occurs, and the lines of the file where it occurs first (at most 5). */
export interface Found {
  count: number;
  lines: number[];
}

/** The ids at one position of the rows, when all rows have the same number of slots. */
export interface PositionReport {
  /** From 1. */
  position: number;
  /** Different ids. */
  features: number;
  minId: number;
  maxId: number;
}

export interface CheckWarning {
  /** Where to look first. */
  line?: number;
  /** A sentence for people, without a final full stop. */
  message: string;
}

/** What `checkDataset` has found in a data file. Ids, lines and labels are those of the file. */
export interface CheckReport {
  name: string;
  /** Rows that can be read; all other numbers are about these. */
  rows: number;
  /** Lines that cannot be read, and the errors of the first of them. */
  broken: { count: number; errors: IfmError[] };
  slots: {
    /** Slots of all rows together. */
    total: number;
    min: number;
    max: number;
    /** Rows by their number of slots, ascending. */
    histogram: { slots: number; rows: number }[];
    /** The number of slots that most rows have. */
    commonest: number;
    /** Rows with another number of slots. */
    others: Found;
  };
  /** Slots of every row when all have the same number, else null. */
  fields: number | null;
  features: {
    /** Different ids. */
    count: number;
    /** Smallest and largest id; -1 when no row has a slot. */
    minId: number;
    maxId: number;
    /** The smallest id is 1, so ids seem to be counted from 1. */
    oneBased: boolean;
    /** Ids below the largest that never occur, and the first of them (at most 5). */
    holes: { count: number; ids: number[] };
  };
  labels: {
    min: number;
    max: number;
    mean: number;
    /** Every label with its rows, ascending; null when there are more than 20. */
    counts: { label: number; rows: number }[] | null;
  };
  values: {
    /** Values other than 1. */
    otherThanOne: number;
    min: number;
    max: number;
    zero: Found;
    /** |value| > 10^4: products of such values run out of range. */
    large: Found;
  };
  /** Rows that name a feature more than once. */
  duplicates: Found;
  /** Rows without slots. */
  empty: Found;
  /** Rows whose ids do not ascend. Where most rows do, these are likely to have their fields in another order. */
  unordered: Found;
  /** Per position; null when rows differ in length. */
  positions: PositionReport[] | null;
  /** Pairs of positions (from 1) whose ranges of ids overlap, at most 10; empty when rows differ in length. */
  overlaps: { first: number; second: number }[];
  /** Ids that occur at more than one position, each counted once less than its positions; 0 when rows differ in length. */
  shared: number;
  /** What looks wrong. */
  warnings: CheckWarning[];
}

const MAX_LINES = 5;
const MAX_HOLES = 5;
const MAX_LABELS = 20;
const MAX_OVERLAPS = 10;
const MAX_POSITIONS_SHOWN = 50;
const MAX_LENGTHS_SHOWN = 10;
const LARGE_VALUE = 1e4;
/** Rows up to this length are searched for duplicates pair by pair. */
const SHORT_ROW = 16;
/** Tables with more unused rows than used ones are worth a warning, from this size on. */
const MANY_HOLES = 1000;

/**
 * Reads a libFM text to the end, whatever is in it, and reports what it holds and what looks wrong.
 *
 * @param source bytes of the text, not compressed
 * @param options as for `readLibfm`; `maxErrors` (default 20) is how many broken lines are reported in full
 * @throws {IfmError} IFM_DATA only when there is nothing to report on: no line with a row, or a file of another kind;
 *   IFM_MEMORY when the rows do not fit; what the source throws
 */
export async function checkDataset(
  source: LibfmText,
  options: Omit<LibfmOptions, "onError"> = {},
): Promise<CheckReport> {
  const errors: IfmError[] = [];
  const parser = new LibfmParser({ ...options, onError: (error) => errors.push(error) });
  await pushAll(source, parser);
  const dataset = parser.end();
  const lineOf = (row: number) => parser.lineOf(row);
  const facts = {
    name: dataset.name,
    rows: dataset.rows,
    broken: { count: parser.brokenLines, errors },
    ...describeRows(dataset, lineOf),
    ...describeFeatures(dataset),
    labels: describeLabels(dataset),
    values: describeValues(dataset, lineOf),
  };
  return { ...facts, warnings: warn(facts) };
}

/** Counts, with the lines of the first few. */
class Finder {
  readonly found: Found = { count: 0, lines: [] };
  readonly #lineOf: (row: number) => number;

  constructor(lineOf: (row: number) => number) {
    this.#lineOf = lineOf;
  }

  /** Counts one; a line that is there already is not repeated. */
  add(row: number): void {
    const { lines } = this.found;
    this.found.count++;
    if (lines.length === MAX_LINES) return;
    const line = this.#lineOf(row);
    if (lines[lines.length - 1] !== line) lines.push(line);
  }
}

type RowFacts = Pick<CheckReport, "slots" | "fields" | "duplicates" | "empty" | "unordered">;

function describeRows(dataset: Dataset, lineOf: (row: number) => number): RowFacts {
  const { rows, rowPtr, features } = dataset;
  const rowsBySlots = new Map<number, number>();
  const duplicates = new Finder(lineOf);
  const empty = new Finder(lineOf);
  const unordered = new Finder(lineOf);
  for (let row = 0; row < rows; row++) {
    const start = rowPtr[row];
    const end = rowPtr[row + 1];
    rowsBySlots.set(end - start, (rowsBySlots.get(end - start) ?? 0) + 1);
    if (start === end) empty.add(row);
    let ascends = true;
    for (let i = start + 1; ascends && i < end; i++) ascends = features[i - 1] < features[i];
    if (ascends) continue;
    const duplicate = hasDuplicate(features, start, end);
    if (duplicate) duplicates.add(row);
    let sorted = true;
    for (let i = start + 1; sorted && i < end; i++) sorted = features[i - 1] <= features[i];
    if (!sorted) unordered.add(row);
  }

  const histogram = Array.from(rowsBySlots, ([slots, count]) => ({ slots, rows: count }));
  histogram.sort((a, b) => a.slots - b.slots);
  const commonest = histogram.reduce((best, entry) => (entry.rows > best.rows ? entry : best), { slots: 0, rows: 0 });
  const others = new Finder(lineOf);
  if (histogram.length > 1) {
    for (let row = 0; row < rows; row++) if (rowPtr[row + 1] - rowPtr[row] !== commonest.slots) others.add(row);
  }
  return {
    slots: {
      total: features.length,
      min: dataset.minSlots,
      max: dataset.maxSlots,
      histogram,
      commonest: commonest.slots,
      others: others.found,
    },
    fields: histogram.length === 1 ? commonest.slots : null,
    duplicates: duplicates.found,
    empty: empty.found,
    unordered: unordered.found,
  };
}

function hasDuplicate(features: Uint32Array, start: number, end: number): boolean {
  if (end - start > SHORT_ROW) return new Set(features.subarray(start, end)).size < end - start;
  for (let i = start + 1; i < end; i++) {
    for (let j = start; j < i; j++) if (features[i] === features[j]) return true;
  }
  return false;
}

type FeatureFacts = Pick<CheckReport, "features" | "positions" | "overlaps" | "shared">;

function describeFeatures(dataset: Dataset): FeatureFacts {
  const { features, featureCount, rows, minSlots, maxSlots } = dataset;
  const seen = new IdSet(featureCount);
  let minId = featureCount - 1;
  for (const id of features) {
    seen.add(id);
    if (id < minId) minId = id;
  }
  const holes = { count: featureCount - seen.size, ids: seen.firstMissing(MAX_HOLES) };
  const facts = { count: seen.size, minId, maxId: featureCount - 1, oneBased: minId === 1, holes };
  if (rows === 0 || minSlots !== maxSlots) return { features: facts, positions: null, overlaps: [], shared: 0 };

  const positions: PositionReport[] = [];
  const fields = maxSlots;
  let sum = 0;
  for (let field = 0; field < fields; field++) {
    // The set is used again and again: what is left in it of the position before is taken out, not all of its bits.
    if (field === 0) for (const id of features) seen.delete(id);
    else for (let i = field - 1; i < features.length; i += fields) seen.delete(features[i]);
    let smallest = featureCount;
    let largest = 0;
    for (let i = field; i < features.length; i += fields) {
      const id = features[i];
      seen.add(id);
      if (id < smallest) smallest = id;
      if (id > largest) largest = id;
    }
    sum += seen.size;
    positions.push({ position: field + 1, features: seen.size, minId: smallest, maxId: largest });
  }
  return { features: facts, positions, overlaps: findOverlaps(positions), shared: sum - facts.count };
}

function findOverlaps(positions: PositionReport[]): { first: number; second: number }[] {
  const byStart = positions.toSorted((a, b) => a.minId - b.minId || a.position - b.position);
  const overlaps: { first: number; second: number }[] = [];
  for (let i = 0; i < byStart.length; i++) {
    for (let j = i + 1; j < byStart.length && byStart[j].minId <= byStart[i].maxId; j++) {
      if (overlaps.length === MAX_OVERLAPS) return overlaps;
      const [first, second] = [byStart[i].position, byStart[j].position].sort((a, b) => a - b);
      overlaps.push({ first, second });
    }
  }
  return overlaps;
}

function describeLabels({ labels, labelMin, labelMax }: Dataset): CheckReport["labels"] {
  const counts = new Map<number, number>();
  let sum = 0;
  for (const label of labels) {
    sum += label;
    if (counts.size <= MAX_LABELS) counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const list = Array.from(counts, ([label, rows]) => ({ label, rows })).sort((a, b) => a.label - b.label);
  const mean = sum / labels.length;
  return { min: labelMin, max: labelMax, mean, counts: list.length > MAX_LABELS ? null : list };
}

function describeValues({ values, rows, rowPtr }: Dataset, lineOf: (row: number) => number): CheckReport["values"] {
  const zero = new Finder(lineOf);
  const large = new Finder(lineOf);
  let otherThanOne = 0;
  let min = values?.[0] ?? 1;
  let max = min;
  for (let row = 0; values !== null && row < rows; row++) {
    for (let i = rowPtr[row]; i < rowPtr[row + 1]; i++) {
      const value = values[i];
      if (value !== 1) otherThanOne++;
      if (value === 0) zero.add(row);
      if (Math.abs(value) > LARGE_VALUE) large.add(row);
      if (value < min) min = value;
      if (value > max) max = value;
    }
  }
  return { otherThanOne, min, max, zero: zero.found, large: large.found };
}

function warn(report: Omit<CheckReport, "warnings">): CheckWarning[] {
  const { rows, broken, slots, features, labels, values, positions } = report;
  const warnings: CheckWarning[] = [];
  const about = (found: Found, message: string) => {
    if (found.count > 0) warnings.push({ line: found.lines[0], message: message + atLines(found) });
  };
  if (broken.count > 0) {
    const message = `${countOf(broken.count, "line")} cannot be read; training stops at the first`;
    const line = broken.errors[0]?.line;
    warnings.push(line === undefined ? { message } : { line, message });
  }
  if (rows === 0) return warnings;

  const others = slots.others.count;
  about(
    slots.others,
    `${others} of ${countOf(rows, "row")} ${others === 1 ? "does" : "do"} not have ${countOf(slots.commonest, "slot")} as most do; ` +
      "models with fields need the same number in every row",
  );
  about(report.empty, `${countOf(report.empty.count, "row")} without features`);
  about(report.duplicates, `${countOf(report.duplicates.count, "row")} with a feature more than once`);
  if (report.unordered.count * 2 < rows) {
    about(
      report.unordered,
      `${countOf(report.unordered.count, "row")} with ids that do not ascend as they do elsewhere; ` +
        "models with fields take the n-th slot as field n",
    );
  }
  if (report.shared > 0 && report.overlaps.length > 0) {
    const { first, second } = report.overlaps[0];
    warnings.push({
      message:
        `ids occur at more than one position (${countOf(report.shared, "time")}), ranges overlap for example at positions ` +
        `${first} and ${second}; the order of the fields looks mixed`,
    });
  }
  for (const { position, minId, features: different } of positions ?? []) {
    if (different === 1 && rows > 1) {
      warnings.push({ message: `position ${position} is feature ${minId} in every row and tells nothing` });
    }
  }
  if (features.oneBased) {
    warnings.push({ message: "the smallest id is 1; ids seem to be counted from 1, so id 0 is never trained" });
  }
  if (features.holes.count > Math.max(features.count, MANY_HOLES)) {
    warnings.push({
      message:
        `${features.holes.count} of the ${features.maxId + 1} ids up to the largest never occur, ` +
        "yet tables have a row for each; number the features without gaps",
    });
  }
  about(
    values.zero,
    `${countOf(values.zero.count, "value")} of 0, which ${values.zero.count === 1 ? "adds" : "add"} nothing`,
  );
  about(
    values.large,
    `${countOf(values.large.count, "value")} beyond ±${LARGE_VALUE}; scale them, or training may overflow`,
  );
  if (labels.counts?.length === 1 && rows > 1) {
    warnings.push({ message: `every label is ${shortest(labels.min)}, so there is nothing to learn` });
  }
  return warnings;
}

function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function atLines({ count, lines }: Found): string {
  const more = count > lines.length ? ", …" : "";
  return ` (${lines.length === 1 && more === "" ? "line" : "lines"} ${lines.join(", ")}${more})`;
}

/** The shortest decimal that is this f32. */
function shortest(value: number): string {
  for (let precision = 6; precision < 9; precision++) {
    const rounded = Number(value.toPrecision(precision));
    if (Math.fround(rounded) === value) return String(rounded);
  }
  return String(Number(value.toPrecision(9)));
}

/** The report as plain text for a terminal, ending in a line feed. */
export function formatCheck(report: CheckReport): string {
  const { broken, slots, features, positions, warnings } = report;
  const facts: [string, string][] = [["rows", String(report.rows)]];
  if (broken.count > 0) facts.push(["broken lines", String(broken.count)]);
  if (report.rows > 0) {
    facts.push(
      ["slots", formatSlots(slots)],
      ["fields", report.fields === null ? "rows differ" : String(report.fields)],
    );
    facts.push(["features", formatFeatures(features)]);
    facts.push(["labels", formatLabels(report.labels)], ["values", formatValues(report.values, slots.total)]);
  }
  const width = Math.max(...facts.map(([name]) => name.length));
  const lines = [report.name, ...facts.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`)];

  if (slots.histogram.length > 1) {
    const shown = slots.histogram.toSorted((a, b) => b.rows - a.rows).slice(0, MAX_LENGTHS_SHOWN);
    lines.push(
      "",
      ...table(
        ["slots", "rows"],
        shown.map((entry) => [entry.slots, entry.rows]),
      ),
    );
    if (slots.histogram.length > shown.length) lines.push(`  … ${slots.histogram.length - shown.length} more`);
  }
  if (positions !== null && positions.length > 0) {
    const shown = positions.slice(0, MAX_POSITIONS_SHOWN);
    const cells = shown.map((entry) => [entry.position, entry.features, entry.minId, entry.maxId]);
    lines.push("", ...table(["position", "features", "from id", "to id"], cells));
    if (positions.length > shown.length) lines.push(`  … ${positions.length - shown.length} more`);
  }
  if (broken.count > 0) {
    lines.push("", "broken lines");
    for (const error of broken.errors) {
      lines.push(`  ${error.message}`);
      if (error.hint !== undefined) lines.push(`    ${error.hint}`);
    }
    if (broken.count > broken.errors.length) lines.push(`  … ${broken.count - broken.errors.length} more`);
  }
  if (warnings.length === 0) lines.push("", "nothing looks wrong");
  else lines.push("", "what looks wrong", ...warnings.map(({ message }) => `  ${message}`));
  return `${lines.join("\n")}\n`;
}

/** Rows of numbers under their titles, aligned to the right. */
function table(titles: string[], rows: number[][]): string[] {
  const cells = [titles, ...rows.map((row) => row.map(String))];
  const widths = titles.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  return cells.map((row) => `  ${row.map((cell, column) => cell.padStart(widths[column])).join("  ")}`);
}

function formatSlots({ total, min, max, commonest }: CheckReport["slots"]): string {
  return min === max
    ? `${min} in every row, ${total} in all`
    : `${min} to ${max}, mostly ${commonest}, ${total} in all`;
}

function formatFeatures({ count, minId, maxId, holes }: CheckReport["features"]): string {
  if (count === 0) return "none";
  const missing = holes.count === 0 ? "" : `, ${holes.count} ids below never occur (${holes.ids.join(", ")}`;
  const more = holes.count === 0 ? "" : holes.count > holes.ids.length ? ", …)" : ")";
  return `${count} different ids, ${minId} to ${maxId}${missing}${more}`;
}

function formatLabels({ min, max, mean, counts }: CheckReport["labels"]): string {
  if (counts === null) return `${shortest(min)} to ${shortest(max)}, mean ${mean.toPrecision(6)}`;
  return counts.map(({ label, rows }) => `${shortest(label)} (${rows} ${rows === 1 ? "row" : "rows"})`).join(", ");
}

function formatValues({ otherThanOne, min, max }: CheckReport["values"], total: number): string {
  if (total === 0) return "none";
  if (otherThanOne === 0) return "all 1";
  return `${otherThanOne} of ${total} other than 1, ${shortest(min)} to ${shortest(max)}`;
}
