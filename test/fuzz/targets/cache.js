import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { cacheBytes, readCache } from "../../../src/data/cache.js";
import { readLibfm } from "../../../src/data/read.js";
import { checkRows } from "./libfm.js";

const folder = mkdtempSync(join(tmpdir(), "ifm-wasm-fuzz-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, "rows.ifmcache");
const source = { bytes: 2_000_000n, mtimeNs: 1n, ctimeNs: 2n, digest: Buffer.alloc(32, 7) };

async function bytesOf(text) {
  const parts = [...cacheBytes(source, await readLibfm(text))];
  return new Uint8Array(Buffer.concat(parts));
}
const seeds = [await bytesOf("1 0:1 2:1\n-1 1:1 3:1\n"), await bytesOf("# shifted\n1 0:0.5 2:1\n\n-1 1:1\n")];

/** Where the header ends and where it has the checksums of what follows it and of itself. */
const HEADER = { bytes: 128, payloadCrc: 96, headerCrc: 124 };

/** The checksums made right: a stranger can do that, too, and without it no other byte would ever be looked at. */
function withChecksums(bytes) {
  if (bytes.length < HEADER.bytes) return bytes;
  const out = Buffer.from(bytes);
  out.writeUInt32LE(crc32(out.subarray(HEADER.bytes)), HEADER.payloadCrc);
  out.writeUInt32LE(crc32(out.subarray(0, HEADER.headerCrc)), HEADER.headerCrc);
  return out;
}

/** A cache file; what is wrong with one means that there is none. */
export default {
  seeds: () => seeds,
  words: ["ifmcache", "\x01\x00\x00\x00"],
  maxBytes: 4096,
  memory: { base: 4e6, factor: 64 },
  async run(bytes) {
    for (const file of [bytes, withChecksums(bytes)]) {
      writeFileSync(path, file);
      const rows = await readCache(path, source, "rows.libfm");
      if (rows !== undefined) checkRows(rows);
    }
  },
};
