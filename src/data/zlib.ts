import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";

/** Bytes decompressed at once: 550 MB/s, against 250 with the default of 16 KiB, 180 with `gunzip` (Node 20, EPYC). */
const GUNZIP_BYTES = 2 ** 18;

/** What `gunzip` does, by node:zlib, which knows where members end and works in a thread of its own. */
export async function* gunzipByZlib(source: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  const { gzipError } = await import("./gzip.js");
  let compressedBytes = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      compressedBytes += chunk.length;
      yield chunk;
    }
  }
  // The loop over the result throws what the pipeline would report.
  const output = pipeline(counted, createGunzip({ chunkSize: GUNZIP_BYTES }), () => undefined);
  try {
    yield* output;
  } catch (error) {
    const isZlibs = error instanceof Error && "code" in error && String(error.code).startsWith("Z_");
    throw isZlibs ? gzipError(name, error) : error;
  }
  // zlib stops at a zero byte after a member, without an error, whatever follows.
  if (output.bytesWritten < compressedBytes) {
    throw gzipError(name, new Error(`${output.bytesWritten} bytes instead of ${compressedBytes}`));
  }
}
