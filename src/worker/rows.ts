import type { Dataset } from "../data/dataset.js";
import { readLibfm } from "../data/read.js";
import { iterate } from "../data/streams.js";
import { type ErrorCode, IfmError } from "../errors.js";
import { fetchFile } from "../fetch.js";
import { chunksFrom } from "./chunks.js";
import type { ReadingProgress, WireBytes, WireRows } from "./protocol.js";

/** Milliseconds between two messages about how far something is. */
export const TELL_MILLISECONDS = 100;

/** What a reader is told, and who may stop it. */
export interface Reading {
  tell(progress: ReadingProgress): void;
  signal: AbortSignal;
  /** Whether the arrays are to be in buffers that can be emptied, see data/movable.ts. */
  movable?: boolean;
}

/**
 * The rows that the page has sent, or has said where to find.
 *
 * @throws IfmError as `readLibfm`; IFM_ABORTED
 */
export async function unpackRows(rows: WireRows, { movable = false, ...reading }: Reading): Promise<Dataset> {
  if ("dataset" in rows) return rows.dataset;
  const { bytes, name } = rows;
  const { chunks, totalBytes } = await open(bytes, "IFM_DATA");
  return readLibfm(watched(chunks, { name, totalBytes }, reading), { name, movable });
}

/** The bytes that the page has sent, or has said where to find. */
export async function unpackBytes(bytes: WireBytes): Promise<Uint8Array> {
  if (bytes instanceof Uint8Array) return bytes;
  const { chunks } = await open(bytes, "IFM_MODEL");
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const chunk of chunks) parts.push(chunk as Uint8Array<ArrayBuffer>);
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function open(
  bytes: WireBytes,
  code: ErrorCode,
): Promise<{ chunks: AsyncIterable<Uint8Array>; totalBytes: number | undefined }> {
  if (bytes instanceof Uint8Array) return { chunks: only(bytes), totalBytes: bytes.length };
  if (bytes instanceof Blob) return { chunks: iterate(bytes.stream()), totalBytes: bytes.size };
  if ("port" in bytes) return { chunks: chunksFrom(bytes.port), totalBytes: undefined };
  const response = await fetchFile(bytes.url, code);
  // Of a response that is decompressed on its way, the length is not that of what comes.
  const length = response.headers.get("content-encoding") === null ? response.headers.get("content-length") : null;
  const body = response.body ?? new Blob().stream();
  return { chunks: iterate(body), totalBytes: length === null ? undefined : Number(length) };
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** The chunks, while somebody is told how many there were, and may stop them also when none comes. */
async function* watched(
  chunks: AsyncIterable<Uint8Array>,
  { name, totalBytes }: { name: string; totalBytes: number | undefined },
  { tell, signal }: Reading,
): AsyncGenerator<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const aborted = new Promise<never>((_, reject) => {
    const stop = () => reject(new IfmError("IFM_ABORTED", "stopped while it was read", { file: name }));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  });
  let bytes = 0;
  let told = performance.now();
  try {
    for (;;) {
      const { done, value } = await Promise.race([aborted, iterator.next()]);
      if (done) return;
      bytes += value.length;
      yield value;
      if (performance.now() - told < TELL_MILLISECONDS) continue;
      told = performance.now();
      tell({ name, bytes, ...(totalBytes === undefined ? {} : { totalBytes }) });
    }
  } finally {
    aborted.catch(() => undefined);
    // Not waited for: it ends when the next chunk comes.
    iterator.return?.().catch(() => undefined);
  }
}
