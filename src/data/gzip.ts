import { IfmError } from "../errors.js";
import { iterate, toStream } from "./streams.js";

/** Turns the bytes of a gzip file into what they hold; `name` is the file, for messages. */
export type Gunzip = (source: AsyncIterable<Uint8Array>, name: string) => AsyncIterable<Uint8Array>;

const MAGIC_1 = 0x1f;
const MAGIC_2 = 0x8b;
const DEFLATE = 8;
const MAX_FLAGS = 0x1f;
/** Bytes of a member's header up to the one that says how hard the compressor tried: 0, 2 or 4. */
const HEADER_BYTES = 9;
/** Header, an empty deflate block, checksum and length. */
const MIN_MEMBER_BYTES = 20;
/** Text of numbers comes to 5 to 20 times its gzip file; what is beyond this is made to fill the memory. */
const MAX_RATIO = 200;
/** Bytes that are given out whatever the ratio: small files may well be one line again and again. */
const FREE_BYTES = 2 ** 26;
/** How many places may look like a header without being one. By chance that happens once in 10^10 bytes. */
const MAX_FALSE_HEADERS = 64;

/**
 * Decompresses gzip data in any runtime, through `DecompressionStream`.
 *
 * A file may consist of several members (`cat a.gz b.gz`, bgzip, pigz). Runtimes differ in what they make of the second
 * one: Node 20 decodes it, browsers and Node 24.19 call it junk, others drop it silently. So every member gets a stream
 * of its own, and what comes out is compared with the length that the member declares.
 *
 * A stream does not tell where in its input the member ended, so the source is cut where a header seems to begin. If
 * the bytes up to there turn out to be no whole member, it is decoded again together with what follows; for this the
 * compressed bytes of a member are kept until it ends.
 *
 * @throws {IfmError} IFM_DATA when the data is damaged, incomplete or followed by something else; what the source throws
 */
export async function* gunzip(source: AsyncIterable<Uint8Array>, name = "data"): AsyncGenerator<Uint8Array> {
  const members = new Members(source);
  let falseHeaders = 0;
  try {
    while (await members.next()) {
      for (let given = 0, whole = false; !whole; ) {
        let length = 0;
        try {
          const compressed = toStream<BufferSource>(members.bytes());
          for await (const chunk of iterate(compressed.pipeThrough(new DecompressionStream("gzip")))) {
            const alreadyGiven = Math.min(given - length, chunk.length);
            length += chunk.length;
            if (alreadyGiven === chunk.length) continue;
            given = length;
            yield chunk.subarray(alreadyGiven);
          }
          const declared = members.declaredLength();
          if (length % 2 ** 32 !== declared) throw new Error(`${length} bytes instead of ${declared}`);
          whole = true;
        } catch (error) {
          if (members.sourceError !== undefined) throw members.sourceError.thrown;
          if (++falseHeaders > MAX_FALSE_HEADERS || !members.extend()) throw gzipError(name, error);
        }
      }
    }
  } finally {
    members.close();
  }
}

/**
 * Gives the bytes of a file, decompressed if it is gzipped; that is seen from its first two bytes, not from its name.
 *
 * @param decompress what decompresses gzip data; a runtime may have something faster than `gunzip`
 */
export async function* maybeGunzip(
  source: AsyncIterable<Uint8Array>,
  name = "data",
  decompress: Gunzip = gunzip,
): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  const magic: number[] = [];
  while (magic.length < 2) {
    const { done, value } = await iterator.next();
    if (done) break;
    first.push(value.slice());
    magic.push(...value.subarray(0, 2 - magic.length));
  }
  const bytes = resume(first, iterator);
  yield* magic[0] === MAGIC_1 && magic[1] === MAGIC_2 ? limited(bytes, name, decompress) : bytes;
}

/** What `decompress` gives, as long as it is no decompression bomb. */
async function* limited(
  source: AsyncIterable<Uint8Array>,
  name: string,
  decompress: Gunzip,
): AsyncGenerator<Uint8Array> {
  let compressed = 0;
  let given = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      compressed += chunk.length;
      yield chunk;
    }
  }
  for await (const chunk of decompress(counted(), name)) {
    given += chunk.length;
    if (given > FREE_BYTES && given > MAX_RATIO * compressed) {
      const message = `gzip data: expected at most ${MAX_RATIO} bytes from each byte, found ${given} from ${compressed}`;
      throw new IfmError("IFM_DATA", message, { file: name, hint: "decompress it first if this is meant to be" });
    }
    yield chunk;
  }
}

/** The error for gzip data that cannot be decompressed. */
export function gzipError(name: string, cause: unknown): IfmError {
  const detail = cause instanceof Error ? cause.message : String(cause);
  let message = `gzip data is damaged (${detail})`;
  if (/unexpected end|truncated|incomplete/i.test(detail)) message = "gzip data ends in the middle";
  else if (/header check|junk|trailing|after EOF|instead of/i.test(detail)) {
    message = `gzip data is damaged or followed by something else (${detail})`;
  }
  return new IfmError("IFM_DATA", message, { file: name, hint: "copy or download the file again", cause });
}

/** What was taken from the iterator, then the rest of it. */
async function* resume(first: Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* first;
    for (;;) {
      const { done, value } = await rest.next();
      if (done) return;
      yield value;
    }
  } finally {
    await rest.return?.();
  }
}

/** The members of a gzip file, cut from a source where their headers seem to be. */
class Members {
  /** What reading the source has thrown, to tell it from what decompressing throws. */
  sourceError: { thrown: unknown } | undefined;

  readonly #source: AsyncIterator<Uint8Array>;
  #sourceEnded = false;
  /** Bytes that no member has yet. */
  #rest = new Uint8Array(0);
  /** Where in `#rest` the search for a header begins. */
  #searchFrom = 0;
  /** The current member as far as it is known, and whether that is up to a header or to the end of the file. */
  #held: Uint8Array<ArrayBuffer>[] = [];
  #heldBytes = 0;
  #complete = true;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Goes to the next member; false at the end of the file. */
  async next(): Promise<boolean> {
    this.#held = [];
    this.#heldBytes = 0;
    this.#searchFrom = 0;
    while (this.#rest.length === 0) if (!(await this.#read())) return false;
    this.#complete = false;
    return true;
  }

  /** The bytes of the member, from its start. */
  async *bytes(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for (const piece of this.#held.slice()) yield piece;
    while (!this.#complete) {
      const piece = await this.#piece();
      this.#held.push(piece);
      this.#heldBytes += piece.length;
      if (piece.length > 0) yield piece;
    }
  }

  /** Says that the member does not end where it seemed to. False when no more bytes are there or they are not needed. */
  extend(): boolean {
    if (!this.#complete || this.#rest.length === 0) return false;
    this.#complete = false;
    this.#searchFrom = 1;
    return true;
  }

  /** The last four bytes of the member: its length without compression, modulo 2^32. */
  declaredLength(): number {
    const last: number[] = [];
    for (let i = this.#held.length - 1; i >= 0 && last.length < 4; i--) {
      last.unshift(...this.#held[i].subarray(last.length - 4));
    }
    return new DataView(Uint8Array.from(last).buffer).getUint32(0, true);
  }

  /** Ends the source. It is not waited for: a pipe that nobody writes to any more would never answer. */
  close(): void {
    if (!this.#sourceEnded) this.#source.return?.().catch(() => undefined);
  }

  async #piece(): Promise<Uint8Array<ArrayBuffer>> {
    for (;;) {
      const rest = this.#rest;
      const from = Math.max(this.#searchFrom, MIN_MEMBER_BYTES - this.#heldBytes);
      const header = findHeader(rest, from);
      this.#complete = header >= 0;
      // The last bytes may be the beginning of a header.
      const end = this.#complete ? header : rest.length - HEADER_BYTES + 1;
      if (this.#complete || end > 0) {
        this.#rest = rest.subarray(end);
        this.#searchFrom = 0;
        return rest.subarray(0, end);
      }
      if (!(await this.#read())) {
        this.#rest = new Uint8Array(0);
        this.#complete = true;
        return rest;
      }
    }
  }

  /** Appends the next chunk to `#rest`, as a copy; false at the end of the file. */
  async #read(): Promise<boolean> {
    if (this.#sourceEnded) return false;
    try {
      const { done, value } = await this.#source.next();
      if (done) {
        this.#sourceEnded = true;
        return false;
      }
      const joined = new Uint8Array(this.#rest.length + value.length);
      joined.set(this.#rest);
      joined.set(value, this.#rest.length);
      this.#rest = joined;
      return true;
    } catch (thrown) {
      this.#sourceEnded = true;
      this.sourceError = { thrown };
      throw thrown;
    }
  }
}

/** Where in `bytes`, from `from` on, something looks like the header of a member; -1 if nowhere. */
function findHeader(bytes: Uint8Array, from: number): number {
  for (
    let i = bytes.indexOf(MAGIC_1, from);
    i >= 0 && i + HEADER_BYTES <= bytes.length;
    i = bytes.indexOf(MAGIC_1, i + 1)
  ) {
    const effort = bytes[i + 8];
    const known = effort === 0 || effort === 2 || effort === 4;
    if (bytes[i + 1] === MAGIC_2 && bytes[i + 2] === DEFLATE && bytes[i + 3] <= MAX_FLAGS && known) return i;
  }
  return -1;
}
