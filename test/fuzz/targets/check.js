import { checkDataset, formatCheck } from "../../../src/data/check.js";

const text = (lines) => new TextEncoder().encode(lines);

/** The lint of data files: it must get through anything that is text. */
export default {
  seeds: () => [
    text("1 0:1 20:1 31:0.5\n-1 3:1 22:1 31:2\n1 0:1 20:1 31:0.5\n"),
    text("1 0:1 1:1\n0 0:1 2:1\n1 broken\n5 2147483647:1 3:1e30\n"),
    text("0.5 1:1\n\n# c\n0.25 1:1 1:1 1:2\n3\n"),
  ],
  words: ["nan", "#", "\r\n", " 0:1", " 2147483647:1", ":", "\uFEFF", "1e38", "qid:1 "],
  maxBytes: 4096,
  memory: { base: 40e6, factor: 64 },
  async run(bytes) {
    formatCheck(await checkDataset(bytes, { name: "rows.libfm", maxLineBytes: 512 }));
  },
};
