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
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { cacheName, loadCached, MIN_SOURCE_BYTES } from "../../src/data/cache.js";
import { loadDataset } from "../../src/data/open.js";
import { bits } from "../support/bits.js";

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

describe("loadCached", () => {
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
  });

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
