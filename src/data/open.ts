import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { IfmError } from "../errors.js";
import { isRemote } from "../fetch.js";
import type { Dataset } from "./dataset.js";
import type { LibfmOptions } from "./libfm.js";
import { loadDataset as fetchDataset } from "./load.js";

/** Bytes read from a file at once. */
const READ_BYTES = 2 ** 16;

/**
 * Opens a data file; Node only.
 *
 * @param path a file, or `-` for standard input
 * @returns its bytes, decompressed if they are gzip data. The file is opened when the first are asked for, and closed
 *   after the last or when the loop over them is left
 * @throws {IfmError} IFM_DATA, from the iteration: no such file, a directory, no permission, damaged gzip data
 */
export async function* openData(path: string): AsyncGenerator<Uint8Array> {
  // First: a file that cannot be opened says so at once, and nobody would listen yet.
  const [{ maybeGunzip }, { gunzipByZlib }] = await Promise.all([import("./gzip.js"), import("./zlib.js")]);
  const input = path === "-" ? process.stdin : createReadStream(path, { highWaterMark: READ_BYTES });
  try {
    yield* maybeGunzip(explainErrors(input, path), path, gunzipByZlib);
  } finally {
    // Also ends a read that decompression has begun and that nobody waits for any more.
    input.destroy();
  }
}

/**
 * Reads a libFM file, plain or gzipped.
 *
 * @param source a path, a URL, or `-` for standard input; it is the name of the data set unless `options.name` says
 *   otherwise
 * @throws {IfmError} as `openData` and `readLibfm`
 */
export async function loadDataset(source: string | URL, options: LibfmOptions = {}): Promise<Dataset> {
  if (isRemote(source)) return fetchDataset(source, options);
  const path = typeof source === "string" ? source : fileURLToPath(source);
  // When it is wanted, as in read.ts: a service that loads a model starts 1 ms sooner.
  const { LibfmParser, pushAll } = await import("./libfm.js");
  const parser = new LibfmParser({ name: path, ...options });
  await pushAll(openData(path), parser);
  return parser.end();
}

async function* explainErrors(input: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* input;
  } catch (error) {
    throw await fileError(path, error);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

async function fileError(path: string, cause: unknown): Promise<IfmError> {
  const fail = (message: string, hint: string) => new IfmError("IFM_DATA", message, { file: path, hint, cause });
  const code = codeOf(cause);
  if (code === "ENOENT" || code === "ENOTDIR") return fail("no such file", "check the path");
  if (code === "EISDIR" || (await isDirectory(path))) {
    return fail("this is a directory", "pass a file; for DIR/NAME/NAME.train.libfm use --dataset NAME --path DIR");
  }
  if (code === "EACCES" || code === "EPERM") {
    return fail("permission denied", "make the file readable for the user that runs this");
  }
  return fail(
    `cannot be read (${cause instanceof Error ? cause.message : String(cause)})`,
    "check the disk and the path",
  );
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
