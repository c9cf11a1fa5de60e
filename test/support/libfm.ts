import type { Dataset } from "../../src/data/dataset.js";
import { type LibfmOptions, LibfmParser } from "../../src/data/libfm.js";
import { IfmError } from "../../src/errors.js";

const encoder = new TextEncoder();

/** Parses `text` (a string is UTF-8) in chunks of `chunkBytes`. */
export function parse(
  text: string | Uint8Array,
  options: LibfmOptions = {},
  chunkBytes = Number.POSITIVE_INFINITY,
): Dataset {
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  const parser = new LibfmParser({ name: "t.libfm", ...options });
  for (let i = 0; i < bytes.length; i += chunkBytes) parser.push(bytes.subarray(i, i + chunkBytes));
  return parser.end();
}

export function errorOf(text: string | Uint8Array, options: LibfmOptions = {}, chunkBytes?: number): IfmError {
  try {
    parse(text, options, chunkBytes);
  } catch (error) {
    if (error instanceof IfmError) return error;
    throw error;
  }
  throw new Error("no error was thrown");
}

/** The rows of a data set, with every value written out. */
export function rowsOf({ labels, rowPtr, features, values }: Dataset): { label: number; slots: [number, number][] }[] {
  return Array.from(labels, (label, row) => ({
    label,
    slots: Array.from(features.subarray(rowPtr[row], rowPtr[row + 1]), (id, i): [number, number] => [
      id,
      values === null ? 1 : values[rowPtr[row] + i],
    ]),
  }));
}
