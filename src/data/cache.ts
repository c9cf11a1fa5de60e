import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { type FileHandle, lstat, open, stat } from "node:fs/promises";
import { endianness } from "node:os";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { removeAbandoned } from "../abandoned.js";
import { writeFileAtomic } from "../atomic-file.js";
import type { Dataset } from "./dataset.js";
import { lineOf, MAX_ID } from "./libfm.js";
import { movableBuffer } from "./movable.js";
import { loadDataset } from "./open.js";

/*
 * FILE.ifmcache: the rows of FILE as typed arrays (docs/FORMATS.md). A cache is never needed and never believed: what is
 * wrong with one, or with writing one, only means that the text is read.
 */

/** Of the format, and of what the reader makes of a text: to be raised when either changes. */
const VERSION = 1;
const MAGIC = Buffer.from("ifmcache");
const HEADER_BYTES = 128;
/** Arrays begin at multiples of it. */
const ALIGNMENT = 64;

/** Smaller files are read in milliseconds, and a cache beside each would only be litter. */
export const MIN_SOURCE_BYTES = 1_000_000;
/** Bytes at the start and at the end of the source that are digested. */
const DIGESTED_BYTES = 2 ** 16;
/** Bytes read at once, a multiple of `ALIGNMENT`: while a checksum is made of them they are in a processor's cache. */
const READ_BYTES = 2 ** 20;

/**
 * Milliseconds in which a file may change twice without a change of its times: clocks of kernels tick at 100 Hz or more,
 * file systems that keep no fractions of seconds at 2 s (FAT).
 */
const FINE_TICK = 100;
const COARSE_TICK = 2000;

/** As the arrays of a cache are. */
const MOVABLE = { movable: true };

/** Where the fields of the header are. */
const AT = {
  version: 8,
  hasValues: 12,
  bytes: 16,
  mtimeNs: 24,
  ctimeNs: 32,
  digest: 40,
  rows: 72,
  nonZeros: 80,
  shifts: 88,
  payloadCrc: 96,
  headerCrc: 124,
} as const;

/** Places of the arrays in the file. */
const ARRAY = { labels: 0, features: 2, values: 3 } as const;

/** What tells one content of a file from another without reading all of it. */
export interface Fingerprint {
  bytes: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
  /** SHA-256 of the first and the last 64 KiB. */
  digest: Buffer;
}

/** A file that may have a cache. */
interface Source extends Fingerprint {
  /** Whether a later change is bound to change the times. */
  settled: boolean;
  /** Whether everybody may read it. */
  isPublic: boolean;
}

/** Rows, and whether they came from a cache. */
export interface CachedRead {
  data: Dataset;
  fromCache: boolean;
}

/**
 * Reads a data file from its cache if there is one of this very content, else from its text, and then writes the cache
 * where that is possible.
 *
 * @param options.write False: a cache is used, but none is written.
 * @throws IfmError what `loadDataset` throws; never anything because of the cache
 */
export async function loadCached(path: string, { write = true } = {}): Promise<CachedRead> {
  const before = await sourceAt(path);
  if (before === undefined) return { data: await loadDataset(path, MOVABLE), fromCache: false };
  const cache = cacheName(path);
  const cached = await readCache(cache, before, path);
  if (cached !== undefined) return { data: cached, fromCache: true };
  const data = await loadDataset(path, MOVABLE);
  const after = write && before.settled ? await sourceAt(path) : undefined;
  // Rows of a file that has changed meanwhile are neither those of before nor those of now.
  if (after !== undefined && isSame(before, after)) await writeCache(cache, before, data);
  return { data, fromCache: false };
}

/** Where the cache of a file is. */
export function cacheName(path: string): string {
  return `${path}.ifmcache`;
}

/** @returns undefined when the file is not to be cached: too small, a pipe, not there, … */
async function sourceAt(path: string): Promise<Source | undefined> {
  if (path === "-" || endianness() !== "LE") return undefined;
  const now = BigInt(Date.now()) * 1_000_000n;
  try {
    const { size, mtimeNs, ctimeNs, mode } = await regularFile(path);
    if (size < MIN_SOURCE_BYTES) return undefined;
    const tick = ctimeNs % 1_000_000_000n === 0n ? COARSE_TICK : FINE_TICK;
    return {
      bytes: size,
      mtimeNs,
      ctimeNs,
      digest: await digestOf(path, Number(size)),
      settled: now - ctimeNs > BigInt(tick) * 1_000_000n,
      isPublic: (mode & 0o004n) !== 0n,
    };
  } catch {
    // Whatever is wrong with the file, who reads it will say so.
    return undefined;
  }
}

async function regularFile(path: string): Promise<BigIntStats> {
  const found = await stat(path, { bigint: true });
  if (!found.isFile()) throw new Error("no regular file");
  return found;
}

async function digestOf(path: string, bytes: number): Promise<Buffer> {
  const handle = await open(path);
  try {
    const hash = createHash("sha256");
    for (const at of [0, bytes - DIGESTED_BYTES]) {
      const part = new Uint8Array(DIGESTED_BYTES);
      await readFully(handle, part, at);
      hash.update(part);
    }
    return hash.digest();
  } finally {
    await handle.close();
  }
}

/**
 * Times are no proof alone: programs set mtime at will (cp -p, tar, rsync). No program sets ctime, but some file systems
 * have none; there the digest sees most of what is left.
 */
function isSame(a: Fingerprint, b: Fingerprint): boolean {
  return a.bytes === b.bytes && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.digest.equals(b.digest);
}

/**
 * The rows of a cache; nothing is reserved that the file is not long enough for.
 *
 * @param name of the data set
 * @returns undefined when there is no cache, or none that is whole and of this source
 */
export async function readCache(cache: string, source: Fingerprint, name: string): Promise<Dataset | undefined> {
  try {
    await regularFile(cache); // Opening a pipe would wait for a writer.
    const handle = await open(cache);
    try {
      return await readRows(handle, source, name);
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}

async function readRows(handle: FileHandle, source: Fingerprint, name: string): Promise<Dataset | undefined> {
  const header = Buffer.alloc(HEADER_BYTES);
  await readFully(handle, header, 0);
  if (!header.subarray(0, MAGIC.length).equals(MAGIC) || header.readUInt32LE(AT.version) !== VERSION) return undefined;
  if (header.readUInt32LE(AT.headerCrc) !== crc32(header.subarray(0, AT.headerCrc))) return undefined;
  const written: Fingerprint = {
    bytes: header.readBigUInt64LE(AT.bytes),
    mtimeNs: header.readBigInt64LE(AT.mtimeNs),
    ctimeNs: header.readBigInt64LE(AT.ctimeNs),
    digest: header.subarray(AT.digest, AT.rows),
  };
  if (!isSame(written, source)) return undefined;

  const hasValues = header.readUInt32LE(AT.hasValues) === 1;
  const rows = Number(header.readBigUInt64LE(AT.rows));
  const nonZeros = Number(header.readBigUInt64LE(AT.nonZeros));
  const shifts = Number(header.readBigUInt64LE(AT.shifts));
  const sizes = arraySizes(rows, nonZeros, shifts, hasValues);
  const { size } = await handle.stat();
  if (size !== sizes.reduce((sum, bytes) => sum + aligned(bytes), HEADER_BYTES)) return undefined;

  let at = HEADER_BYTES;
  let crc = 0;
  let maxId = -1;
  const buffers: ArrayBuffer[] = [];
  // What is done number by number is done here: loops over movable buffers are slow.
  const block = new ArrayBuffer(READ_BYTES);
  for (const [index, bytes] of sizes.entries()) {
    const buffer = movableBuffer(aligned(bytes));
    for (let done = 0; done < buffer.byteLength; done += READ_BYTES) {
      const part = new Uint8Array(block, 0, Math.min(READ_BYTES, buffer.byteLength - done));
      await readFully(handle, part, at + done);
      crc = crc32(part, crc);
      if (index === ARRAY.features) maxId = Math.max(maxId, largest(new Uint32Array(block, 0, part.length / 4)));
      const hasFloats = index === ARRAY.labels || index === ARRAY.values;
      if (hasFloats && !allFinite(new Float32Array(block, 0, part.length / 4))) return undefined;
      new Uint8Array(buffer, done, part.length).set(part);
    }
    at += buffer.byteLength;
    buffers.push(buffer);
  }
  if (crc !== header.readUInt32LE(AT.payloadCrc)) return undefined;
  const [labels, rowPtr, features, values, shiftRows, lineShifts] = buffers;
  return checkedDataset(
    name,
    new Float32Array(labels, 0, rows),
    new Uint32Array(rowPtr, 0, rows + 1),
    new Uint32Array(features, 0, nonZeros),
    hasValues ? new Float32Array(values, 0, nonZeros) : null,
    new Uint32Array(shiftRows, 0, shifts),
    new Float64Array(lineShifts, 0, shifts),
    maxId,
  );
}

function largest(ids: Uint32Array): number {
  let most = 0;
  for (let i = 0; i < ids.length; i++) if (ids[i] > most) most = ids[i];
  return most;
}

function allFinite(numbers: Float32Array): boolean {
  // NaN and infinities are what is not 0 times 0.
  for (let i = 0; i < numbers.length; i++) if (numbers[i] * 0 !== 0) return false;
  return true;
}

/** A data set of arrays of finite numbers that hold to what the reader of texts promises; else undefined. */
function checkedDataset(
  name: string,
  labels: Float32Array,
  rowPtr: Uint32Array,
  features: Uint32Array,
  values: Float32Array | null,
  shiftRows: Uint32Array,
  shifts: Float64Array,
  maxId: number,
): Dataset | undefined {
  const rows = labels.length;
  if (rows === 0 || rowPtr[0] !== 0 || rowPtr[rows] !== features.length) return undefined;
  let [minSlots, maxSlots] = [Number.POSITIVE_INFINITY, 0];
  let [labelMin, labelMax] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let row = 0; row < rows; row++) {
    const slots = rowPtr[row + 1] - rowPtr[row];
    const label = labels[row];
    if (slots < 0) return undefined;
    if (slots < minSlots) minSlots = slots;
    if (slots > maxSlots) maxSlots = slots;
    if (label < labelMin) labelMin = label;
    if (label > labelMax) labelMax = label;
  }
  if (maxId > MAX_ID) return undefined;
  if (shiftRows[0] !== 0 || !(shifts[0] >= 1)) return undefined;
  for (let i = 1; i < shifts.length; i++) {
    if (!(shiftRows[i] > shiftRows[i - 1] && shiftRows[i] < rows && shifts[i] > shifts[i - 1])) return undefined;
  }
  const featureCount = maxId + 1;
  const dataset: Dataset = {
    name,
    rows,
    labels,
    rowPtr,
    features,
    values,
    featureCount,
    minSlots,
    maxSlots,
    labelMin,
    labelMax,
  };
  // As the reader of texts does it.
  return Object.defineProperty(dataset, "lineOf", { value: (row: number) => lineOf(row, shiftRows, shifts) });
}

/** Writes a cache if that is possible. */
async function writeCache(cache: string, source: Source, data: Dataset): Promise<void> {
  try {
    // A link would be followed to a file that nobody has asked to be replaced.
    const there = await lstat(cache).catch(() => undefined);
    if (there !== undefined && !there.isFile()) return;
    await removeAbandoned(dirname(cache));
    await writeFileAtomic(cache, cacheBytes(source, data), {
      // Not brought to disk: what a power failure leaves of it is noticed.
      sync: false,
      // A group that may read the source need not be the group of a new file.
      mode: source.isPublic ? 0o644 & ~process.umask() : 0o600,
    });
  } catch {
    // A folder that is read-only, a full disk: the next run reads the text again.
  }
}

/** The bytes of a cache. */
export function* cacheBytes(source: Fingerprint, data: Dataset): Generator<Uint8Array> {
  const { rows, labels, rowPtr, features, values } = data;
  const { shiftRows, shifts } = lineShifts(data);
  const arrays = [labels, rowPtr, features, values ?? new Float32Array(0), shiftRows, shifts];
  const parts = arrays.flatMap((array) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    // zlib takes nothing for null, and begins again.
    return [bytes, new Uint8Array(aligned(bytes.length) - bytes.length)].filter(({ length }) => length > 0);
  });
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, AT.version);
  header.writeUInt32LE(values === null ? 0 : 1, AT.hasValues);
  header.writeBigUInt64LE(source.bytes, AT.bytes);
  header.writeBigInt64LE(source.mtimeNs, AT.mtimeNs);
  header.writeBigInt64LE(source.ctimeNs, AT.ctimeNs);
  source.digest.copy(header, AT.digest);
  header.writeBigUInt64LE(BigInt(rows), AT.rows);
  header.writeBigUInt64LE(BigInt(features.length), AT.nonZeros);
  header.writeBigUInt64LE(BigInt(shifts.length), AT.shifts);
  header.writeUInt32LE(
    parts.reduce((crc, part) => crc32(part, crc), 0),
    AT.payloadCrc,
  );
  header.writeUInt32LE(crc32(header.subarray(0, AT.headerCrc)), AT.headerCrc);
  yield header;
  yield* parts;
}

/** Line = row + shift, from row `shiftRows[i]` on with `shifts[i]`. */
function lineShifts({ rows, lineOf }: Dataset): { shiftRows: Uint32Array; shifts: Float64Array } {
  const shiftRows: number[] = [];
  const shifts: number[] = [];
  for (let row = 0; row < rows; row++) {
    const shift = (lineOf?.(row) ?? row + 1) - row;
    if (shift === shifts[shifts.length - 1]) continue;
    shiftRows.push(row);
    shifts.push(shift);
  }
  return { shiftRows: Uint32Array.from(shiftRows), shifts: Float64Array.from(shifts) };
}

/** Bytes of the arrays in their order: labels, rowPtr, features, values, rows and shifts of lines. */
function arraySizes(rows: number, nonZeros: number, shifts: number, hasValues: boolean): number[] {
  return [4 * rows, 4 * (rows + 1), 4 * nonZeros, hasValues ? 4 * nonZeros : 0, 4 * shifts, 8 * shifts];
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

async function readFully(handle: FileHandle, target: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await handle.read(target, done, target.length - done, at + done);
    if (bytesRead === 0) throw new Error("the file ends early");
    done += bytesRead;
  }
}
