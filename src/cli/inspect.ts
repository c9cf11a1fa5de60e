import { Model } from "../model/model.js";
import type { TrainingRecord } from "../model/record.js";
import type { InitReport } from "../train/types.js";
import { outputColors } from "./colors.js";
import { EXIT } from "./exit.js";
import { bytes, columns, count, metric, plain } from "./format.js";
import type { Io } from "./io.js";
import { jsonLine } from "./json.js";
import type { JsonValues } from "./options.js";
import { MODEL_NAMES } from "./report.js";

/** Columns of a value; what is longer is cut. */
const VALUE_COLUMNS = 52;

/** `ifm-wasm inspect MODEL`. Returns the exit code. */
export async function inspect(file: string, options: JsonValues, io: Io): Promise<number> {
  const model = await Model.load(file);
  try {
    if (options.json) {
      const { config, tensors, record } = model;
      io.out.write(jsonLine({ file, config, ...totals(model), tensors, record }));
    } else {
      io.out.write(describeModel(model, outputColors(io).bold));
    }
    return EXIT.done;
  } finally {
    model.dispose();
  }
}

/** Sizes of all tensors together. */
function totals({ tensors }: Model): { parameters: number; bytes: number } {
  return {
    parameters: tensors.reduce((sum, tensor) => sum + tensor.parameters, 0),
    bytes: tensors.reduce((sum, tensor) => sum + tensor.bytes, 0),
  };
}

function describeModel(model: Model, bold: (text: string) => string): string {
  const { config, record, tensors } = model;
  const all = totals(model);
  const tensorTable = [
    ["name", "shape", "numbers", "size"],
    ...tensors.map((tensor) => [
      tensor.name,
      tensor.shape.join(" × ") || "1",
      count(tensor.parameters),
      bytes(tensor.bytes),
    ]),
    ["total", "", count(all.parameters), bytes(all.bytes)],
  ];
  const { train, metrics, init, ...facts } = record;
  const sections: [title: string, lines: string[]][] = [
    ["Config", columns(flatten(config))],
    ["Tensors", columns(tensorTable, [1, 2, 3])],
    ["Trained", columns(flatten(facts))],
    ["Started from", init === undefined ? [] : describeInit(init)],
    ["Settings", columns(flatten(train ?? {}))],
    ["Metrics", metricsTable(metrics ?? {})],
  ];
  const heading = `${bold(config.model)}, ${MODEL_NAMES[config.model]}`;
  const parts = sections
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => `${bold(title)}\n${lines.map((line) => `  ${line}\n`).join("")}`);
  return `${heading}\n\n${parts.join("\n")}`;
}

/** What became of the tensors of the initial model, a tensor a line. */
function describeInit({ model, taken, left, fresh }: InitReport): string[] {
  return columns([
    ...taken.map((name) => [name, `taken from the initial ${model}`]),
    ...left.map(({ name, reason }) => [name, `not taken from the initial ${model}: ${reason}`]),
    ...fresh
      .filter((name) => left.every((other) => other.name !== name))
      .map((name) => [name, `from the seed, as the initial ${model} has none`]),
  ]);
}

/** Metrics as columns, the sets of rows as lines. */
function metricsTable(sets: NonNullable<TrainingRecord["metrics"]>): string[] {
  const names = ["rmse", "mae", "logloss", "auc", "accuracy", "f1", "gauc"] as const;
  const shown = names.filter((name) => Object.values(sets).some((metrics) => metrics[name] !== undefined));
  if (shown.length === 0) return [];
  const lines = Object.entries(sets).map(([set, metrics]) => [set, ...shown.map((name) => metric(metrics[name]))]);
  return columns(
    [["", ...shown], ...lines],
    names.map((_, i) => i + 1),
  );
}

/** The leaves of an object as pairs of a dotted name and a text. */
export function flatten(value: object, prefix = ""): [name: string, text: string][] {
  return Object.entries(value).flatMap(([key, entry]): [string, string][] => {
    const name = prefix + key;
    if (entry === undefined || entry === null) return [];
    if (typeof entry === "object" && !Array.isArray(entry)) return flatten(entry, `${name}.`);
    const text = Array.isArray(entry) ? entry.join(", ") || "none" : leaf(key, entry);
    return [[name, text.length > VALUE_COLUMNS ? `${text.slice(0, VALUE_COLUMNS - 1)}…` : text]];
  });
}

/** A seed is a name, not a quantity. */
function leaf(key: string, value: unknown): string {
  return typeof value === "number" && key !== "seed" ? plain(value) : String(value);
}
