import { checkResponse, isResponse } from "../fetch.js";
import type { Dataset } from "./dataset.js";
import type { LibfmOptions, LibfmText } from "./libfm.js";
import { iterate } from "./streams.js";

/** Where a data set can come from: libFM text, plain or gzipped. A `File` is a `Blob`. */
export type LibfmSource = LibfmText | ArrayBuffer | Blob | Response;

/**
 * Reads all rows of a libFM file.
 *
 * @param source the file, a stream of its bytes or all of them, or the text itself. Bytes may be gzipped
 * @throws {IfmError} IFM_DATA with line and column of what cannot be read, or for a response that is not of success;
 *   IFM_MEMORY when the rows do not fit; what the source throws
 */
export async function readLibfm(source: LibfmSource, options: LibfmOptions = {}): Promise<Dataset> {
  const named = typeof source === "object" && "name" in source ? { name: String(source.name) } : {};
  // A file of its own in browsers: an application whose rows are arrays already never fetches it.
  const { LibfmParser, pushAll } = await import("./libfm.js");
  const parser = new LibfmParser({ ...named, ...options });
  if (typeof source === "string") {
    await pushAll(source, parser);
  } else {
    // Another one, for bytes, which may be gzipped.
    const { maybeGunzip } = await import("./gzip.js");
    await pushAll(maybeGunzip(chunksOf(source), options.name ?? named.name), parser);
  }
  return parser.end();
}

/** The chunks of a source, by what it has, not by instanceof: what comes from another realm is an instance of nothing. */
function chunksOf(source: Exclude<LibfmSource, string>): AsyncIterable<Uint8Array> {
  if ("byteLength" in source) return only(ArrayBuffer.isView(source) ? source : new Uint8Array(source));
  if (isResponse(source)) return iterate(checkResponse(source, "IFM_DATA").body ?? new Blob().stream());
  if ("stream" in source) return iterate(source.stream());
  return "getReader" in source ? iterate(source) : source;
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
