import sampleFields from "virtual:sample-names";
import { type Dataset, type ReadingProgress, readRows } from "ifm-wasm/worker";
import trainUrl from "../../sample/adult.train.libfm.gz?url";
import validationUrl from "../../sample/adult.validation.libfm.gz?url";

/** What slots and features are called. */
export interface Names {
  field(slot: number): string;
  feature(id: number): string;
  /** What the two labels mean, the higher one first. */
  labels?: [positive: string, negative: string];
}

/** Rows to learn from, and rows to try the model on. */
export interface Rows {
  name: string;
  train: Dataset;
  validation: Dataset | undefined;
  names: Names;
}

/** Of one file, the last tenth is held out. */
const HELD_OUT = 10;

const SAMPLE_NAMES: Names = {
  field: (slot) => sampleFields[slot]?.name ?? `slot ${slot}`,
  feature(id) {
    const text = sampleFields.map(({ features }) => features[id]).find((found) => found !== undefined);
    return text?.replace(/^other: .*/, "other") ?? `feature ${id}`;
  },
  labels: ["over 50,000 dollars", "up to 50,000 dollars"],
};

const PLAIN_NAMES: Names = { field: (slot) => `slot ${slot}`, feature: (id) => `feature ${id}` };

export async function readSample(): Promise<Rows> {
  const [train, validation] = await Promise.all(
    [trainUrl, validationUrl].map((url) => readRows(new URL(url, location.href))),
  );
  const heldOut = { ...validation!, name: "the sample, held out" };
  return { name: "Adult, the bundled sample", train: train!, validation: heldOut, names: SAMPLE_NAMES };
}

/** Reads one file, of which a part is held out, or two: rows to learn from and rows to try the model on. */
export async function readFiles(files: File[], onReading: (progress: ReadingProgress) => void): Promise<Rows> {
  const [first, second] = files;
  if (!first) throw new Error("no file");
  const data = await readRows(first, { onReading });
  const rows = second ? { train: data, validation: await readRows(second, { onReading }) } : split(data);
  return { name: files.map(({ name }) => name).join(" and "), ...rows, names: PLAIN_NAMES };
}

/** Two views of the rows, without a copy. */
function split(data: Dataset): Pick<Rows, "train" | "validation"> {
  const first = data.rows - Math.floor(data.rows / HELD_OUT);
  if (first === data.rows) return { train: data, validation: undefined };
  const slot = data.rowPtr[first]!;
  const train: Dataset = {
    ...data,
    rows: first,
    labels: data.labels.subarray(0, first),
    rowPtr: data.rowPtr.subarray(0, first + 1),
    features: data.features.subarray(0, slot),
    values: data.values?.subarray(0, slot) ?? null,
  };
  const validation: Dataset = {
    ...data,
    name: `${data.name}, the last tenth`,
    rows: data.rows - first,
    labels: data.labels.subarray(first),
    rowPtr: data.rowPtr.slice(first).map((end) => end - slot),
    features: data.features.subarray(slot),
    values: data.values?.subarray(slot) ?? null,
  };
  return { train, validation };
}

/** One row: features and values. */
export interface Row {
  features: number[];
  values: number[];
  label: number;
}

export function rowOf(data: Dataset, r: number): Row {
  const [from, to] = [data.rowPtr[r]!, data.rowPtr[r + 1]!];
  const features = Array.from(data.features.subarray(from, to));
  const values = data.values ? Array.from(data.values.subarray(from, to)) : features.map(() => 1);
  return { features, values, label: data.labels[r]! };
}

/** What stands in a slot, as text. */
export function slotText(names: Names, row: Row, slot: number): string {
  const value = row.values[slot]!;
  return names.feature(row.features[slot]!) + (value === 1 ? "" : ` × ${value}`);
}

/** Features that occur in a slot, the commonest first. */
export function featuresInSlot(data: Dataset, slot: number, most: number): number[] {
  const counts = new Map<number, number>();
  // Enough to meet what is common; all rows of a large file would hold the page up.
  for (let r = 0; r < Math.min(data.rows, 50_000); r++) {
    const id = data.features[data.rowPtr[r]! + slot]!;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, most)
    .map(([id]) => id);
}

/** Labels are two values, such as 1 and −1. */
export function hasTwoLabels({ labels, labelMin, labelMax }: Dataset): boolean {
  return labelMin < labelMax && labels.subarray(0, 100_000).every((label) => label === labelMin || label === labelMax);
}
