import { describe, expect, it } from "vitest";
import { createTrainer } from "../../src/api.js";
import { checkRows, countUnknown, type Dataset, placeOf } from "../../src/data/dataset.js";
import { readLibfm } from "../../src/data/read.js";
import { errorOf, train } from "../support/train.js";

/** Three rows that somebody has made by hand. */
const rows = (changes: Partial<Record<keyof Dataset, unknown>> = {}): Dataset =>
  ({
    name: "by hand",
    rows: 3,
    labels: Float32Array.of(1, -1, 1),
    rowPtr: Uint32Array.of(0, 2, 3, 5),
    features: Uint32Array.of(0, 2, 1, 2, 4_294_967_295),
    values: Float32Array.of(1, 0.5, 1, -2, 3),
    featureCount: 3,
    minSlots: 1,
    maxSlots: 2,
    labelMin: -1,
    labelMax: 1,
    ...changes,
  }) as Dataset;

/** What is wrong with them, and what is said. */
const WRONG: [string, Partial<Record<keyof Dataset, unknown>>, string][] = [
  [
    "fewer labels",
    { labels: Float32Array.of(1) },
    "labels: expected Float32Array of length 3, found Float32Array of length 1",
  ],
  ["labels of doubles", { labels: Float64Array.of(1, 1, 1) }, "labels: expected Float32Array"],
  [
    "a label that is no number",
    { labels: Float32Array.of(1, Number.NaN, 1) },
    "labels: row 1: expected a finite number, found NaN",
  ],
  [
    "an infinite label",
    { labels: Float32Array.of(1, 1, -Infinity) },
    "labels: row 2: expected a finite number, found -Infinity",
  ],
  ["no end of the last row", { rowPtr: Uint32Array.of(0, 2, 3) }, "rowPtr: expected Uint32Array of length 4"],
  ["rows that go back", { rowPtr: Uint32Array.of(0, 2, 1, 3) }, "rowPtr: row 1: expected 1 to 2 slots, found -1"],
  ["a row beyond all slots", { rowPtr: Uint32Array.of(0, 2, 4, 6) }, "rowPtr: expected at most 5 slots, found 6"],
  [
    "rows from far behind",
    { rowPtr: Uint32Array.of(4e9, 4e9 + 2, 4e9 + 3, 4e9 + 5) },
    "rowPtr: expected at most 5 slots",
  ],
  ["a row longer than said", { maxSlots: 1 }, "rowPtr: row 0: expected 1 to 1 slots, found 2"],
  ["a row shorter than said", { minSlots: 2 }, "rowPtr: row 1: expected 2 to 2 slots, found 1"],
  ["a longest row that is no number", { maxSlots: Number.NaN }, "minSlots, maxSlots: expected numbers from 0 to 5"],
  ["a longest row of gigabytes", { maxSlots: 2 ** 31 }, "minSlots, maxSlots: expected numbers from 0 to 5"],
  ["a shortest row below 0", { minSlots: -1 }, "minSlots, maxSlots: expected numbers from 0 to 5, found -1, 2"],
  [
    "ids in a list",
    { features: [0, 2, 1, 2, 3] },
    "features: expected Uint32Array of length 5, found Array of length 5",
  ],
  ["ids with signs", { features: Int32Array.of(0, 2, 1, 2, -1) }, "features: expected Uint32Array"],
  ["no ids", { features: undefined }, "features: expected Uint32Array of length undefined, found Undefined"],
  ["fewer values", { values: Float32Array.of(1) }, "values: expected Float32Array of length 5"],
  [
    "a value that overflows",
    { values: Float32Array.of(1, 1, 1, 1e39, 1) },
    "values: slot 3: expected a finite number, found Infinity",
  ],
  ["rows that are no number", { rows: Number.NaN }, "labels: expected Float32Array of length NaN"],
  ["half a row", { rows: 2.5 }, "labels: expected Float32Array of length 2.5"],
];

describe("countUnknown", () => {
  it("counts the slots whose feature is beyond a table, each as often as it occurs", () => {
    expect([0, 1, 2, 3, 4_294_967_295].map((features) => countUnknown(rows(), features))).toEqual([5, 4, 3, 1, 1]);
  });
});

describe("placeOf", () => {
  it("is the file, and the line where there is one", async () => {
    expect(placeOf(rows(), 1)).toEqual({ file: "by hand" });
    expect(placeOf(await readLibfm("# c\n1 0:1\n\n1 1:1\n", { name: "t.libfm" }), 1)).toEqual({
      file: "t.libfm",
      line: 4,
    });
  });
});

describe("checkRows", () => {
  it("takes what readers give, and what fits", async () => {
    for (const data of [
      await readLibfm("1 0:1 1:1\n-1 2:0.5\n"),
      await readLibfm("1\n-1 2:0.5\n"),
      rows(),
      rows({ values: null }),
    ]) {
      expect(() => checkRows(data)).not.toThrow();
    }
  });

  it("takes rows that begin and end within their slots", () => {
    const part = rows({ rows: 1, labels: Float32Array.of(1), rowPtr: Uint32Array.of(2, 3) });
    expect(() => checkRows(part)).not.toThrow();
  });

  it("takes none whose memory was given away", () => {
    const data = rows();
    structuredClone(data.features, { transfer: [data.features.buffer] });
    expect(() => checkRows(data)).toThrow("values: expected Float32Array of length 0");
  });

  it.each(WRONG)("refuses %s", (_, changes, message) => {
    expect(() => checkRows(rows(changes))).toThrow(expect.objectContaining({ code: "IFM_DATA", file: "by hand" }));
    expect(() => checkRows(rows(changes))).toThrow(`by hand: ${message}`);
  });
});

describe("rows that were made by hand", () => {
  it.each(WRONG)("neither train nor test with %s", async (_, changes) => {
    const data = { train: rows(), validation: rows() };
    for (const set of ["train", "validation", "test"]) {
      const error = await errorOf(createTrainer({ model: { model: "fm" }, data: { ...data, [set]: rows(changes) } }));
      expect(error.code).toBe("IFM_DATA");
    }
  });

  it("are predicted and evaluated when they are right, and refused when they are not", async () => {
    const { model } = await train({
      model: { model: "fm", factors: 4, features: 3 },
      train: { epochs: 1 },
      data: { train: rows() },
    });
    const scores = model.predict(rows());
    expect(scores.every(Number.isFinite)).toBe(true);
    // Ids beyond the table, however large, contribute nothing.
    const known = rows({ features: Uint32Array.of(0, 2, 1, 2, 0), values: Float32Array.of(1, 0.5, 1, -2, 0) });
    expect(model.predict(known)).toEqual(scores);
    for (const [, changes] of WRONG) {
      expect(() => model.predict(rows(changes))).toThrow(expect.objectContaining({ code: "IFM_DATA" }));
      expect(() => model.evaluate(rows(changes))).toThrow(expect.objectContaining({ code: "IFM_DATA" }));
    }
    expect(model.predict(rows())).toEqual(scores);
    model.dispose();
  });
});
