import { loadModel } from "../node.js";
import { outputColors } from "./colors.js";
import { EXIT } from "./exit.js";
import { bytes, columns, count, plain } from "./format.js";
import type { Io } from "./io.js";
import { jsonLine } from "./json.js";
import type { JsonValues } from "./options.js";
import { MODEL_NAMES } from "./report.js";

/** Columns of a value; what is longer is cut. */
const VALUE_COLUMNS = 48;

/** `ifm-wasm inspect MODEL`. Returns the exit code. */
export async function inspect(file: string, options: JsonValues, io: Io): Promise<number> {
  const model = await loadModel(file);
  try {
    const { config, record, tensors } = model;
    const parameters = tensors.reduce((sum, tensor) => sum + tensor.parameters, 0);
    const size = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
    if (options.json) {
      io.out.write(jsonLine({ file, config, parameters, bytes: size, tensors, record }));
      return EXIT.done;
    }
    const { bold } = outputColors(io);
    const table = [
      ["name", "shape", "numbers", "size"],
      ...tensors.map(({ name, shape, parameters, bytes: size }) => [
        name,
        shape.map(String).join(" × ") || "1",
        count(parameters),
        bytes(size),
      ]),
      ["total", "", count(parameters), bytes(size)],
    ];
    const lines = [
      `${bold(config.model)}, ${MODEL_NAMES[config.model]}: ${count(parameters)} parameters, ${bytes(size)}`,
      "",
      bold("Config"),
      ...indent(columns(flatten(config), new Set())),
      "",
      bold("Tensors"),
      ...indent(columns(table, new Set([1, 2, 3]))),
    ];
    const facts = flatten(record);
    if (facts.length > 0) lines.push("", bold("Training"), ...indent(columns(facts, new Set())));
    io.out.write(`${lines.join("\n")}\n`);
    return EXIT.done;
  } finally {
    model.dispose();
  }
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
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
