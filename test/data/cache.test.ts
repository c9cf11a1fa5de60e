import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  cacheBytes,
  cacheName,
  type Fingerprint,
  loadCached,
  MIN_SOURCE_BYTES,
  readCache,
} from "../../src/data/cache.js";
import type { Dataset } from "../../src/data/dataset.js";
import { loadDataset } from "../../src/data/open.js";
import { readLibfm } from "../../src/data/read.js";

const SOURCE: Fingerprint = { bytes: 12345n, mtimeNs: 1n, ctimeNs: 2n, digest: Buffer.alloc(32, 7) };
/** Until the times of a file that was written now are sure to tell of the next change. */
const SETTLED_MS = 150;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ifm-cache-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
/** A path that nothing is at. */
const fresh = (name = "rows.libfm") => join(folder, `${files++}-${name}`);

/** A text that is long enough for a cache. */
function longText(value = "1"): string {
  const line = (i: number) => `${i % 2} ${i % 97}:1 ${97 + (i % 1009)}:${value}\n`;
  return Array.from({ length: 80_000 }, (_, i) => line(i)).join("");
}

async function write(text: string | Uint8Array, name?: string): Promise<string> {
  const path = fresh(name);
  writeFileSync(path, text);
  await sleep(SETTLED_MS);
  return path;
}

/** All that a data set is, bit by bit. */
function bits(data: Dataset): unknown {
  const { labels, rowPtr, features, values, lineOf, ...rest } = data;
  const hex = (array: Float32Array | Uint32Array | null) =>
    array && Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("hex");
  const lines = Array.from({ length: data.rows }, (_, row) => lineOf?.(row));
  // Not toEqual on numbers: -0 is 0 to it in some places.
  const numbers = [rest.labelMin, rest.labelMax].map((label) => (Object.is(label, -0) ? "-0" : String(label)));
  return { ...rest, numbers, arrays: [labels, rowPtr, features, values].map(hex), lines };
}

async function stored(text: string, name = "rows.libfm"): Promise<{ data: Dataset; bytes: Buffer; path: string }> {
  const data = await readLibfm(text, { name });
  const bytes = Buffer.concat([...cacheBytes(SOURCE, data)]);
  const path = fresh("small.ifmcache");
  writeFileSync(path, bytes);
  return { data, bytes, path };
}

describe("the format", () => {
  it.each([
    ["one row", "1 0:1\n"],
    ["one row without slots", "1\n"],
    ["rows of ones", "1 0:1 3:1\n0 1:1 2:1\n"],
    ["rows of any length, also none", "1\n-1 5:1\n0.5 1:1 2:1 3:1\n2\n"],
    ["values, zeros and minus zero", "1 0:0.5 3:-0\n-0 1:1e-45 2:3.4e38\n"],
    ["minus zero as the smallest label", "-0 1:1\n1 2:1\n"],
    ["the largest id", "1 2147483647:1 0:1\n"],
    ["comments and blank lines", "# a\n\n1 0:1\n# b\n0 1:1\n0 2:1\n\n\n1 0:1\n"],
    ["an end without a line feed", "1 0:1\r\n0 1:1"],
    ["many lengths", Array.from({ length: 300 }, (_, i) => `${i} ${`${i}:${i % 3} `.repeat(i % 7)}\n#\n`).join("")],
  ])("gives back %s", async (_, text) => {
    const { data, path } = await stored(text);
    const read = await readCache(path, SOURCE, "rows.libfm");
    expect(bits(read as Dataset)).toEqual(bits(data));
    expect(Object.keys(read as Dataset)).toEqual(Object.keys(data));
  });

  it("begins every array at a multiple of 64", async () => {
    const { bytes } = await stored("1 0:1 3:2\n0 1:1 2:1\n");
    // Header, then labels, rowPtr, features, values, rows and shifts of lines, each less than 64 bytes.
    expect(bytes.length).toBe(128 + 6 * 64);
    expect(bytes.subarray(0, 8).toString()).toBe("ifmcache");
    expect(bytes.readFloatLE(128)).toBe(1);
    expect(bytes.readUInt32LE(128 + 64 + 8)).toBe(4);
    expect(bytes.readUInt32LE(128 + 2 * 64 + 4)).toBe(3);
    expect(bytes.readFloatLE(128 + 3 * 64 + 4)).toBe(2);
  });

  it("has the header that docs/FORMATS.md says", async () => {
    const path = await write(`# first line\n${longText()}`);
    await loadCached(path);
    const cache = readFileSync(cacheName(path));
    const source = readFileSync(path);
    const { size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    const ends = [source.subarray(0, 65536), source.subarray(-65536)];
    expect(cache.toString("latin1", 0, 8)).toBe("ifmcache");
    expect([cache.readUInt32LE(8), cache.readUInt32LE(12)]).toEqual([1, 0]);
    expect([cache.readBigUInt64LE(16), cache.readBigInt64LE(24), cache.readBigInt64LE(32)]).toEqual([
      size,
      mtimeNs,
      ctimeNs,
    ]);
    expect(cache.toString("hex", 40, 72)).toBe(createHash("sha256").update(Buffer.concat(ends)).digest("hex"));
    expect([72, 80, 88].map((at) => cache.readBigUInt64LE(at))).toEqual([80_000n, 160_000n, 1n]);
    expect([cache.readUInt32LE(96), cache.readUInt32LE(124)]).toEqual([
      crc32(cache.subarray(128)),
      crc32(cache.subarray(0, 124)),
    ]);
    expect(cache.subarray(100, 124).every((byte) => byte === 0)).toBe(true);
    expect((await stored("1 0:2\n")).bytes.readUInt32LE(12)).toBe(1);
  });

  it("gives back arrays that are read in several blocks", async () => {
    // Labels of 1.6 MB, ids and values of 3.2 MB: the last of each array is in a block that is not whole.
    const rows = Array.from({ length: 400_000 }, (_, i) => `${i % 5} ${i % 9}:1 ${i}:${i % 3}\n`);
    rows[399_999] = "77 1000000:1 3:-9\n";
    const { data, path, bytes } = await stored(rows.join(""));
    const read = await readCache(path, SOURCE, "rows.libfm");
    expect(bits(read as Dataset)).toEqual(bits(data));
    // In the last block of labels, ids and values something is wrong, as in the first.
    const spoilt = async (at: number, put: (at: number) => void) => {
      const word = bytes.readUInt32LE(at);
      put(at);
      bytes.writeUInt32LE(crc32(bytes.subarray(128)), 96);
      bytes.writeUInt32LE(crc32(bytes.subarray(0, 124)), 124);
      writeFileSync(path, bytes);
      bytes.writeUInt32LE(word, at);
      return readCache(path, SOURCE, "rows.libfm");
    };
    const [labels, ids, values] = [128, 128 + 3_200_064, 128 + 6_400_064];
    expect(bytes.readFloatLE(labels + 4 * 399_999)).toBe(77);
    expect(bytes.readUInt32LE(ids + 4 * 799_998)).toBe(1_000_000);
    expect(bytes.readFloatLE(values + 4 * 799_999)).toBe(-9);
    expect(await spoilt(labels + 4 * 399_999, (at) => bytes.writeFloatLE(Number.NaN, at))).toBeUndefined();
    expect(await spoilt(ids + 4 * 799_998, (at) => bytes.writeUInt32LE(2 ** 31, at))).toBeUndefined();
    expect(await spoilt(values + 4 * 799_999, (at) => bytes.writeFloatLE(Number.NaN, at))).toBeUndefined();
  });

  it("is of one source", async () => {
    const { path } = await stored("1 0:1\n");
    for (const other of [
      { ...SOURCE, bytes: 12346n },
      { ...SOURCE, mtimeNs: 2n },
      { ...SOURCE, ctimeNs: 3n },
      { ...SOURCE, digest: Buffer.alloc(32, 8) },
    ]) {
      expect(await readCache(path, other, "rows")).toBeUndefined();
    }
  });
});

describe("a damaged cache", () => {
  const text = "# a\n1 0:1 3:2\n0 1:1 2:1\n\n1 4:1\n";

  it("is ignored, whichever byte is another one", async () => {
    const { bytes, path } = await stored(text);
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        bytes[at] ^= flip;
        writeFileSync(path, bytes);
        expect(await readCache(path, SOURCE, "rows"), `byte ${at} ^ ${flip}`).toBeUndefined();
        bytes[at] ^= flip;
      }
    }
  });

  it("is ignored, wherever it ends", async () => {
    const { bytes, path } = await stored(text);
    for (let length = bytes.length - 1; length >= 0; length--) {
      truncateSync(path, length);
      expect(await readCache(path, SOURCE, "rows"), `${length} bytes`).toBeUndefined();
    }
    writeFileSync(path, Buffer.concat([bytes, Buffer.alloc(64)]));
    expect(await readCache(path, SOURCE, "rows")).toBeUndefined();
  });

  it("is ignored when its sums are right and its rows are not", async () => {
    const { bytes, path } = await stored(text);
    /** Writes a word, and the sums that belong to it. */
    const refused = async (at: number, put: (buffer: Buffer) => void) => {
      const forged = Buffer.from(bytes);
      put(forged.subarray(at));
      forged.writeUInt32LE(crc32(forged.subarray(128)), 96);
      forged.writeUInt32LE(crc32(forged.subarray(0, 124)), 124);
      writeFileSync(path, forged);
      return (await readCache(path, SOURCE, "rows")) === undefined;
    };
    const u32 = (value: number) => (buffer: Buffer) => buffer.writeUInt32LE(value);
    const f32 = (value: number) => (buffer: Buffer) => buffer.writeFloatLE(value);
    const array = (index: number, entry: number) => 128 + 64 * index + 4 * entry;
    expect(await refused(array(0, 0), f32(5)), "another label").toBe(false);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(await refused(array(0, 1), f32(bad)), `label ${bad}`).toBe(true);
      expect(await refused(array(3, 1), f32(bad)), `value ${bad}`).toBe(true);
    }
    expect(await refused(0, (buffer) => buffer.write("IFMCACHE")), "another magic").toBe(true);
    expect(await refused(8, u32(2)), "another version").toBe(true);
    expect(await refused(array(1, 0), u32(1)), "first rowPtr").toBe(true);
    expect(await refused(array(1, 1), u32(5)), "rowPtr that descends").toBe(true);
    expect(await refused(array(1, 3), u32(6)), "last rowPtr").toBe(true);
    expect(await refused(array(2, 0), u32(2 ** 31)), "id").toBe(true);
    expect(await refused(array(4, 0), u32(1)), "first row of a shift").toBe(true);
    expect(await refused(array(4, 1), u32(9)), "row of a shift").toBe(true);
    expect(await refused(array(5, 0), (buffer) => buffer.writeDoubleLE(Number.NaN)), "shift").toBe(true);
    expect(await refused(array(5, 2), (buffer) => buffer.writeDoubleLE(1)), "shift that stays").toBe(true);
    for (const at of [72, 80, 88]) {
      for (const size of [0n, 2n ** 33n, 2n ** 63n]) {
        expect(await refused(at, (buffer) => buffer.writeBigUInt64LE(size)), `size ${size} at ${at}`).toBe(true);
      }
    }
  });

  it("is ignored when it is none: a folder, another file, nothing", async () => {
    const path = fresh();
    expect(await readCache(path, SOURCE, "rows")).toBeUndefined();
    mkdirSync(path);
    expect(await readCache(path, SOURCE, "rows")).toBeUndefined();
  });
});

describe("loadCached", () => {
  it.each([
    ["plain", (text: string) => text],
    // Stored, so that the file is large enough.
    ["gzipped", (text: string) => gzipSync(text, { level: 0 })],
  ])("writes a cache of a %s file, and reads it the next time", async (_, pack) => {
    const path = await write(pack(`# first line\n${longText("0.5")}`));
    const first = await loadCached(path);
    expect(first.fromCache).toBe(false);
    expect(existsSync(cacheName(path))).toBe(true);
    const second = await loadCached(path);
    expect(second.fromCache).toBe(true);
    expect(bits(second.data)).toEqual(bits(await loadDataset(path)));
    expect(second.data.lineOf?.(0)).toBe(2);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("writes none of small files, of what is not there, and when told not to", async () => {
    const small = await write(
      longText()
        .slice(0, MIN_SOURCE_BYTES - 1)
        .replace(/[^\n]*$/, ""),
    );
    await loadCached(small);
    expect(existsSync(cacheName(small))).toBe(false);
    await expect(loadCached(fresh())).rejects.toThrow("no such file");
    const long = await write(longText());
    expect((await loadCached(long, { write: false })).fromCache).toBe(false);
    expect(existsSync(cacheName(long))).toBe(false);
  });

  it("writes none of a file with an error, nor of one that has only just changed", async () => {
    const broken = await write(`${longText()}oops\n`);
    await expect(loadCached(broken)).rejects.toThrow(/:80001:1: /);
    expect(existsSync(cacheName(broken))).toBe(false);
    const path = fresh();
    writeFileSync(path, longText());
    // What is written in the same tick of the clock could not be told from this.
    const now = statSync(path).ctimeMs;
    const { fromCache } = await loadCached(path);
    if (Date.now() - now < 100) expect(existsSync(cacheName(path))).toBe(false);
    expect(fromCache).toBe(false);
  });

  it("writes one from a tenth of a second after the last change on", async () => {
    const path = fresh();
    writeFileSync(path, longText());
    const { ctimeNs } = statSync(path, { bigint: true });
    const milliseconds = Number(ctimeNs / 1_000_000n);
    const now = vi.spyOn(Date, "now");
    try {
      for (const [after, isThere] of [
        [0, false],
        [100, false],
        [101, true],
      ] as const) {
        now.mockReturnValue(milliseconds + after);
        expect((await loadCached(path)).fromCache).toBe(false);
        expect(existsSync(cacheName(path)), `after ${after} ms`).toBe(isThere);
      }
    } finally {
      now.mockRestore();
    }
  });

  it("reads a source again that has changed", async () => {
    const path = await write(longText());
    const [{ atime, mtime }] = [statSync(path), await loadCached(path)];
    const changes: (() => void)[] = [
      () => appendFileSync(path, "1 5:1\n"),
      // The same size, far from both ends, and the time of before.
      () => {
        const file = openSync(path, "r+");
        writeSync(file, "1", 500_000 - (500_000 % 2));
        closeSync(file);
        utimesSync(path, atime, mtime);
      },
      () => chmodSync(path, 0o600),
      () => utimesSync(path, new Date(), new Date(0)),
    ];
    for (const change of changes) {
      change();
      await sleep(SETTLED_MS);
      const read = await loadCached(path).catch(() => undefined);
      if (read === undefined) continue;
      expect(read.fromCache).toBe(false);
      expect(bits(read.data)).toEqual(bits(await loadDataset(path)));
      expect((await loadCached(path)).fromCache).toBe(true);
    }
  });

  it.each([
    ["is damaged", (cache: Buffer) => cache.fill(0x55, 1000, 1004)],
    ["is cut", (cache: Buffer) => cache.subarray(0, 5000)],
    ["is empty", () => Buffer.alloc(0)],
    ["is of another version", (cache: Buffer) => cache.fill(9, 8, 9)],
    ["is another file", () => Buffer.from("my notes\n")],
  ])("replaces a cache that %s", async (_, spoil) => {
    const path = await write(longText());
    await loadCached(path);
    const whole = readFileSync(cacheName(path));
    writeFileSync(cacheName(path), spoil(Buffer.from(whole)));
    const read = await loadCached(path);
    expect(read.fromCache).toBe(false);
    expect(read.data.rows).toBe(80_000);
    expect(readFileSync(cacheName(path)).equals(whole)).toBe(true);
    expect((await loadCached(path)).fromCache).toBe(true);
  });

  it("leaves what is no file alone: a link, a folder", async () => {
    const path = await write(longText());
    const victim = fresh("victim");
    writeFileSync(victim, "precious");
    symlinkSync(victim, cacheName(path));
    expect((await loadCached(path)).fromCache).toBe(false);
    expect(readFileSync(victim, "utf8")).toBe("precious");
    expect(readlinkSync(cacheName(path))).toBe(victim);
    rmSync(cacheName(path));
    mkdirSync(cacheName(path));
    expect((await loadCached(path)).fromCache).toBe(false);
  });

  it.skipIf(process.platform === "win32")("is no more readable than its source", async () => {
    const path = await write(longText());
    await loadCached(path);
    expect(statSync(cacheName(path)).mode & 0o777).toBe(0o644 & ~process.umask());
    chmodSync(path, 0o640);
    await sleep(SETTLED_MS);
    await loadCached(path);
    expect(statSync(cacheName(path)).mode & 0o777).toBe(0o600);
  });

  it("does without where it cannot be written", async () => {
    const path = await write(longText());
    // Longer than names may be: a folder without permissions would not stop root.
    const long = join(folder, `${"n".repeat(250)}`);
    writeFileSync(long, readFileSync(path));
    await sleep(SETTLED_MS);
    for (let i = 0; i < 2; i++) {
      const { data, fromCache } = await loadCached(long);
      expect([data.rows, fromCache]).toEqual([80_000, false]);
    }
  });

  it.skipIf(process.getuid?.() === 0)("does without in a folder that is read-only", async () => {
    const place = fresh("folder");
    mkdirSync(place);
    const path = join(place, "rows.libfm");
    writeFileSync(path, longText());
    await sleep(SETTLED_MS);
    chmodSync(place, 0o500);
    try {
      expect((await loadCached(path)).fromCache).toBe(false);
      expect(readdirSync(place)).toEqual(["rows.libfm"]);
    } finally {
      chmodSync(place, 0o700);
    }
  });

  it("lets many write at once", async () => {
    const path = await write(longText("0.25"));
    const expected = bits(await loadDataset(path));
    const reads = await Promise.all(Array.from({ length: 6 }, () => loadCached(path)));
    for (const { data } of reads) expect(bits(data)).toEqual(expected);
    const again = await loadCached(path);
    expect(again.fromCache).toBe(true);
    expect(bits(again.data)).toEqual(expected);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});
