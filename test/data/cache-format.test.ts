import { Buffer } from "node:buffer";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cacheBytes, type Fingerprint, readCache } from "../../src/data/cache.js";
import type { Dataset } from "../../src/data/dataset.js";
import { readLibfm } from "../../src/data/read.js";
import { bits } from "../support/bits.js";

const SOURCE: Fingerprint = { bytes: 12345n, mtimeNs: 1n, ctimeNs: 2n, digest: Buffer.alloc(32, 7) };
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ifm-cache-format-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
/** A path that nothing is at. */
const fresh = (name: string) => join(folder, `${files++}-${name}`);

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
    expect(bytes.readUInt32LE(12)).toBe(1);
    expect(bytes.readFloatLE(128)).toBe(1);
    expect(bytes.readUInt32LE(128 + 64 + 8)).toBe(4);
    expect(bytes.readUInt32LE(128 + 2 * 64 + 4)).toBe(3);
    expect(bytes.readFloatLE(128 + 3 * 64 + 4)).toBe(2);
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
    const path = fresh("nothing");
    expect(await readCache(path, SOURCE, "rows")).toBeUndefined();
    mkdirSync(path);
    expect(await readCache(path, SOURCE, "rows")).toBeUndefined();
  });
});
