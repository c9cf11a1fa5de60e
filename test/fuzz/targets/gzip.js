import { gzipSync } from "node:zlib";
import { readLibfm } from "../../../src/data/read.js";

const rows = "1 0:1 5:1\n-1 1:1 6:0.5\n";

/** A gzip file in chunks, to rows. */
export default {
  seeds: () => [
    gzipSync(rows),
    new Uint8Array([...gzipSync(rows), ...gzipSync("1 2:1\n")]),
    new TextEncoder().encode(rows),
    gzipSync("1 0:1\n".repeat(2000)),
  ],
  words: ["\x1f\x8b\x08\x00", "\x1f\x8b\x08\x08name\x00", "\x00\x00\xff\xff"],
  maxBytes: 4096,
  memory: { base: 40e6, factor: 4096 },
  async run(bytes) {
    async function* chunks() {
      const step = 1 + (bytes.length % 97);
      for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
    }
    await readLibfm(chunks(), { name: "rows.libfm.gz", maxLineBytes: 4096 });
  },
};
