import type { Dataset } from "../data/dataset.js";
import { iterate } from "../data/streams.js";
import { checkResponse, isResponse } from "../fetch.js";
import { offerChunks } from "./chunks.js";
import type { WireBytes, WireRows } from "./protocol.js";

/**
 * Bytes of a file: a `File` or other `Blob`, a response, a stream, where to fetch them, or the bytes themselves. They are
 * read in the worker; those of a response or stream chunk by chunk, as the worker asks for them.
 */
export type ByteSource = Blob | Response | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | URL | Uint8Array;

/** Where rows can come from: a libFM file, plain or gzipped, or arrays. */
export type RowSource = Dataset | ByteSource;

/** What crosses over, and what of it the page gives up. */
export interface Packed<T> {
  wire: T;
  transfer: Transferable[];
}

/** Bytes that are copied before other events have their turn: a few milliseconds. */
const BLOCK_BYTES = 2 ** 23;

/**
 * Makes rows ready for the worker.
 *
 * @param name what to call them when they have no name
 * @param give whether arrays are given away; otherwise they are copied
 */
export async function packRows(source: RowSource, name: string, give = false): Promise<Packed<WireRows>> {
  if (!("rowPtr" in source)) {
    const { wire, transfer } = await packBytes(source, give);
    return { wire: { bytes: wire, name: nameOf(source) || name }, transfer };
  }
  const { lineOf: _line, ...dataset } = source;
  const arrays = await Promise.all(
    [dataset.labels, dataset.rowPtr, dataset.features, dataset.values].map((array) => packArray(array, give)),
  );
  const [labels, rowPtr, features, values] = arrays as [Float32Array, Uint32Array, Uint32Array, Float32Array | null];
  return { wire: { dataset: { ...dataset, labels, rowPtr, features, values } }, transfer: buffersToGive(arrays) };
}

/** Makes the bytes of a file ready for the worker. */
export async function packBytes(source: ByteSource, give = false): Promise<Packed<WireBytes>> {
  if (source instanceof URL) return { wire: { url: source.href }, transfer: [] };
  if (source instanceof Blob) return { wire: source, transfer: [] };
  if (source instanceof Uint8Array) {
    const bytes = await packArray(source, give);
    return { wire: bytes, transfer: buffersToGive([bytes]) };
  }
  const port = offerChunks(chunksOf(source));
  return { wire: { port }, transfer: [port] };
}

function chunksOf(source: Response | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  if (isResponse(source)) return iterate(checkResponse(source, "IFM_DATA").body ?? new Blob().stream());
  return "getReader" in source ? iterate(source) : source;
}

/** Name of a file, address of a response. */
function nameOf(source: ByteSource): string | undefined {
  if (source instanceof URL) return source.href;
  if ("name" in source) return String(source.name);
  return isResponse(source) ? source.url : undefined;
}

type Numbers = Float32Array | Uint32Array | Uint8Array;

/** What is sent of an array: itself if it is given away or shared, else a copy. */
async function packArray<T extends Numbers | null>(array: T, give: boolean): Promise<T> {
  if (array === null || give || !(array.buffer instanceof ArrayBuffer)) return array;
  // In blocks, with other events between them: 100 MB at once would hold the page up for 40 ms and more.
  const copy = new Uint8Array(array.byteLength);
  for (let from = 0; from < copy.length; from += BLOCK_BYTES) {
    if (from > 0) await new Promise((resolve) => setTimeout(resolve, 0));
    const length = Math.min(BLOCK_BYTES, copy.length - from);
    copy.set(new Uint8Array(array.buffer, array.byteOffset + from, length), from);
  }
  const ArrayType = array.constructor as new (buffer: ArrayBuffer) => T;
  return new ArrayType(copy.buffer);
}

/** The buffers of arrays, each once; what is shared needs not be given. */
function buffersToGive(arrays: (Numbers | null)[]): ArrayBuffer[] {
  const buffers = arrays.map((array) => array?.buffer).filter((buffer) => buffer instanceof ArrayBuffer);
  return [...new Set(buffers)];
}
