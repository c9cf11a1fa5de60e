import { Buffer } from "node:buffer";
import type { Dataset } from "../../src/data/dataset.js";

/** All that a data set is, bit by bit. */
export function bits(data: Dataset): unknown {
  const { labels, rowPtr, features, values, lineOf, ...rest } = data;
  const hex = (array: Float32Array | Uint32Array | null) =>
    array && Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("hex");
  const lines = Array.from({ length: data.rows }, (_, row) => lineOf?.(row));
  // Not toEqual on numbers: -0 is 0 to it in some places.
  const numbers = [rest.labelMin, rest.labelMax].map((label) => (Object.is(label, -0) ? "-0" : String(label)));
  return { ...rest, numbers, arrays: [labels, rowPtr, features, values].map(hex), lines };
}
