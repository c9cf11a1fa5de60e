import type { Dataset } from "../data/dataset.js";
import { iterate } from "../data/streams.js";
import { checkResponse, isResponse } from "../fetch.js";
import type { KernelSource } from "../wasm/compile.js";
import { offerChunks } from "./chunks.js";
import type { WireBytes, WireCompute, WireRows } from "./protocol.js";

/**
 * Bytes of a file: a `File` or other `Blob`, a response, a stream, where to fetch them, or the bytes themselves. They are
 * read in the worker; those of a response or stream chunk by chunk, as the worker asks for them.
 */
export type ByteSource = Blob | Response | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | URL | Uint8Array;

/** Where rows can come from: a libFM file, plain or gzipped, or arrays. */
export type RowSource = Dataset | ByteSource;

type Numbers = Float32Array | Uint32Array | Uint8Array;

/** Bytes that are copied before other events have their turn: a few milliseconds. */
const BLOCK_BYTES = 2 ** 23;

/** The arguments of one call, made ready to cross over. */
export class Packing {
  readonly #give: boolean;
  readonly #transfer = new Set<Transferable>();
  readonly #stops: (() => void)[] = [];

  /** @param give whether arrays are given away; otherwise they are copied */
  constructor(give = false) {
    this.#give = give;
  }

  /** What the page gives up with the call. */
  get transfer(): Transferable[] {
    return [...this.#transfer];
  }

  /** Ends the streams that the worker would have asked for more. */
  stop(): void {
    for (const stop of this.#stops) stop();
  }

  /** @param name what to call rows that have no name */
  async rows(source: RowSource, name: string): Promise<WireRows> {
    if (!("rowPtr" in source)) return { bytes: await this.bytes(source), name: nameOf(source) || name };
    // Not the function `lineOf`, which cannot cross over.
    const { lineOf: _, ...rows } = source;
    return {
      dataset: {
        ...rows,
        labels: await this.#array(rows.labels),
        rowPtr: await this.#array(rows.rowPtr),
        features: await this.#array(rows.features),
        values: rows.values && (await this.#array(rows.values)),
      },
    };
  }

  async bytes(source: ByteSource): Promise<WireBytes> {
    if (source instanceof URL) return { url: source.href };
    if (source instanceof Blob) return source;
    if (source instanceof Uint8Array) return this.#array(source);
    const { port, stop } = offerChunks(chunksOf(source));
    this.#stops.push(stop);
    this.#transfer.add(port);
    return { port };
  }

  async kernels(source: KernelSource): Promise<NonNullable<WireCompute["wasm"]>> {
    if (typeof source === "string") return new URL(source, location.href).href;
    if (source instanceof URL) return source.href;
    return isResponse(source) ? new Uint8Array(await checkResponse(source, "IFM_WASM").arrayBuffer()) : source;
  }

  /** What is sent of an array: itself if it is given away or shared, else a copy. */
  async #array<T extends Numbers>(array: T): Promise<T> {
    const sent = this.#give || !(array.buffer instanceof ArrayBuffer) ? array : await copyOf(array);
    if (sent.buffer instanceof ArrayBuffer) this.#transfer.add(sent.buffer);
    return sent;
  }
}

/** Copies in blocks, with other events between them: 100 MB at once would hold a page up for 40 ms and more. */
async function copyOf<T extends Numbers>(array: T): Promise<T> {
  const copy = new Uint8Array(array.byteLength);
  for (let from = 0; from < copy.length; from += BLOCK_BYTES) {
    if (from > 0) await new Promise((resolve) => setTimeout(resolve, 0));
    const length = Math.min(BLOCK_BYTES, copy.length - from);
    copy.set(new Uint8Array(array.buffer, array.byteOffset + from, length), from);
  }
  return new (array.constructor as new (buffer: ArrayBuffer) => T)(copy.buffer);
}

function chunksOf(
  source: Response | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  if (isResponse(source)) return iterate(checkResponse(source, "IFM_DATA").body ?? new Blob().stream());
  return "getReader" in source ? iterate(source) : source;
}

/** Name of a file, address of a response. */
function nameOf(source: ByteSource): string | undefined {
  if (source instanceof URL) return source.href;
  if ("name" in source) return String(source.name);
  return isResponse(source) ? source.url : undefined;
}
