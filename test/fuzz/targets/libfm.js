import { LibfmParser } from "../../../src/data/libfm.js";

const text = (lines) => new TextEncoder().encode(lines);

/** Text in chunks whose size the first byte chooses, strictly or leniently. */
export default {
  seeds: () => [
    text("\x001 0:1 20:1 31:0.5    # comment\n-1 3:1 22:1 31:2\n"),
    text("\x051 1:1\r\n\r\n# only a comment\r\n0 2:-1e-3\t3:.5"),
    text("\x831 0:1\nbroken\n2 0:2\n3 0:1:2\n4.5 7:1e38"),
  ],
  words: [
    "nan",
    "inf",
    "#",
    "\r\n",
    "\t",
    ":",
    " 0:1",
    "e-45",
    "\uFEFF",
    "PK\x03\x04",
    "\x1f\x8b",
    "0x",
    "qid:1 ",
    "label,id\n",
  ],
  maxBytes: 4096,
  // A window, the first parts of rows and slots, and of lines that are errors what messages quote.
  memory: { base: 40e6, factor: 64 },
  run(bytes) {
    const mode = bytes[0] ?? 0;
    const data = bytes.subarray(1);
    const errors = [];
    const parser = new LibfmParser({
      name: "rows.libfm",
      maxLineBytes: 512,
      ...(mode & 0x80 ? { onError: (error) => errors.push(error), maxErrors: 3 } : {}),
    });
    const step = mode & 0x3f || data.length || 1;
    for (let at = 0; at < data.length; at += step) parser.push(data.subarray(at, at + step));
    const rows = parser.end();
    checkRows(rows);
    if (errors.length > 3) throw new Error(`${errors.length} errors built, 3 asked for`);
  },
};

/** What every reader promises of its rows. */
export function checkRows({ rows, labels, rowPtr, features, values, featureCount, minSlots, maxSlots }) {
  const wrong = (what) => {
    throw new Error(`rows that no reader may give: ${what}`);
  };
  if (labels.length !== rows || rowPtr.length !== rows + 1) wrong("lengths");
  if (rowPtr[0] !== 0 || rowPtr[rows] !== features.length) wrong("ends of rowPtr");
  for (let r = 0; r < rows; r++) {
    const slots = rowPtr[r + 1] - rowPtr[r];
    if (slots < 0 || slots < minSlots || slots > maxSlots) wrong(`slots of row ${r}`);
    if (!Number.isFinite(labels[r])) wrong(`label of row ${r}`);
  }
  for (const id of features) if (id >= featureCount) wrong(`feature ${id} of ${featureCount}`);
  if (values !== null && (values.length !== features.length || !values.every(Number.isFinite))) wrong("values");
}
