import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CheckReport, checkDataset, formatCheck } from "../../src/data/check.js";
import { IfmError } from "../../src/errors.js";

const encoder = new TextEncoder();

function messages({ warnings }: CheckReport): string[] {
  return warnings.map(({ message }) => message);
}

describe("checkDataset", () => {
  it("finds nothing wrong with a good file", async () => {
    const report = await checkDataset("# users 0-1, items 2-4\n1 0:1 2:1\n-1 1:1 3:1\n\n1 1:1 4:1\n", { name: "good" });
    expect(report).toEqual({
      name: "good",
      rows: 3,
      broken: { count: 0, errors: [] },
      slots: {
        total: 6,
        min: 2,
        max: 2,
        histogram: [{ slots: 2, rows: 3 }],
        commonest: 2,
        others: { count: 0, lines: [] },
      },
      fields: 2,
      features: { count: 5, minId: 0, maxId: 4, oneBased: false, holes: { count: 0, ids: [] } },
      labels: {
        min: -1,
        max: 1,
        mean: expect.closeTo(1 / 3, 12),
        counts: [
          { label: -1, rows: 1 },
          { label: 1, rows: 2 },
        ],
      },
      values: { otherThanOne: 0, min: 1, max: 1, zero: { count: 0, lines: [] }, large: { count: 0, lines: [] } },
      duplicates: { count: 0, lines: [] },
      empty: { count: 0, lines: [] },
      unordered: { count: 0, lines: [] },
      positions: [
        { position: 1, features: 2, minId: 0, maxId: 1 },
        { position: 2, features: 3, minId: 2, maxId: 4 },
      ],
      overlaps: [],
      shared: 0,
      warnings: [],
    });
  });

  it("lists broken lines and reports on the others", async () => {
    const report = await checkDataset("1 0:1\nabc\n-1 1:1\n1 17\n1 2:1\n1 0:1:1\n", { name: "b", maxErrors: 2 });
    expect(report.rows).toBe(3);
    expect(report.broken.count).toBe(3);
    expect(report.broken.errors.map(({ message }) => message)).toEqual([
      'b:2:1: expected a number as label, found "abc"',
      'b:4:3: expected "id:value", found "17"',
    ]);
    expect(report.warnings[0]).toEqual({ line: 2, message: "3 lines cannot be read; training stops at the first" });
  });

  it("reports when every line is broken", async () => {
    const report = await checkDataset("a\n".repeat(100));
    expect(report).toMatchObject({ rows: 0, broken: { count: 100 }, fields: null, positions: null });
    expect(report.features).toMatchObject({ count: 0, minId: -1, maxId: -1 });
    expect(report.broken.errors).toHaveLength(20);
    expect(report.warnings).toHaveLength(1);
    expect(formatCheck(report)).toContain("  … 80 more\n");
  });

  it("fails when there is nothing to report on", async () => {
    await expect(checkDataset("# only a comment\n", { name: "c" })).rejects.toThrow("c: no rows");
    await expect(checkDataset('{"rows": []}', { name: "j" })).rejects.toThrow("j: expected libFM text, found JSON");
  });

  it("counts rows by length and says which differ", async () => {
    const report = await checkDataset("# c\n1 0:1 1:1\n0 0:1 1:1\n1 0:1\n1 0:1 1:1\n1\n0 1:1\n");
    expect(report.slots).toEqual({
      total: 8,
      min: 0,
      max: 2,
      histogram: [
        { slots: 0, rows: 1 },
        { slots: 1, rows: 2 },
        { slots: 2, rows: 3 },
      ],
      commonest: 2,
      others: { count: 3, lines: [4, 6, 7] },
    });
    expect(report).toMatchObject({ fields: null, positions: null, empty: { count: 1, lines: [6] } });
    expect(report.warnings).toEqual([
      {
        line: 4,
        message:
          "3 of 6 rows do not have 2 slots as most do; models with fields need the same number in every row (lines 4, 6, 7)",
      },
      { line: 6, message: "1 row without features (line 6)" },
    ]);
  });

  it("says which rows differ also when there are two lengths only, and takes the first of equally common ones", async () => {
    const two = await checkDataset("1 0:1 1:1\n0 0:1 1:1\n1 0:1\n");
    expect(two.slots).toMatchObject({ commonest: 2, others: { count: 1, lines: [3] } });
    const even = await checkDataset("1 0:1 1:1\n1 0:1\n");
    expect(even.slots).toMatchObject({ commonest: 1, others: { count: 1, lines: [1] } });
    expect(even.fields).toBeNull();
  });

  it("finds features that a row names twice", async () => {
    const long = Array.from({ length: 40 }, (_, i) => `${i}:1`).join(" ");
    const report = await checkDataset(`1 3:1 3:1\n1 1:1 2:1 1:1\n0 1:1 2:1 3:1\n1 ${long} 0:1\n1 ${long}\n`);
    expect(report.duplicates).toEqual({ count: 3, lines: [1, 2, 4] });
    expect(messages(report)).toContain("3 rows with a feature more than once (lines 1, 2, 4)");
  });

  it("finds ids that begin at 1 and ids that never occur", async () => {
    const report = await checkDataset("1 1:1 4:1\n0 2:1 100000:1\n");
    expect(report.features).toEqual({
      count: 4,
      minId: 1,
      maxId: 100000,
      oneBased: true,
      holes: { count: 99997, ids: [0, 3, 5, 6, 7] },
    });
    expect(messages(report)).toEqual([
      "the smallest id is 1; ids seem to be counted from 1, so id 0 is never trained",
      "99997 of the 100001 ids up to the largest never occur, yet tables have a row for each; " +
        "number the features without gaps",
    ]);
  });

  it("warns of more than a thousand ids that never occur, where they are more than those that do", async () => {
    const holes = async (text: string) =>
      messages(await checkDataset(text)).filter((text) => text.includes("never occur"));
    expect(await holes("1 0:1 1003:1\n0 2:1 3:1\n")).toEqual([]);
    expect(await holes("1 0:1 1004:1\n0 2:1 3:1\n")).toHaveLength(1);
    const half = (from: number) => Array.from({ length: 1500 }, (_, i) => `1 ${2 * i + from}:1\n`).join("");
    // 1500 of 3000 ids, then one hole more than that.
    expect(await holes(half(1))).toEqual([]);
    expect(await holes(`${half(2)}1 0:1\n1 3002:1\n`)).toEqual([]);
    expect(await holes(half(1).replace("2999:1", "3004:1"))).toHaveLength(1);
  });

  it("names five lines at most, and says that there are more", async () => {
    const five = await checkDataset("1\n".repeat(5));
    expect(five.empty).toEqual({ count: 5, lines: [1, 2, 3, 4, 5] });
    const six = await checkDataset(`1 0:1\n${"1\n".repeat(6)}`);
    expect(six.empty).toEqual({ count: 6, lines: [2, 3, 4, 5, 6] });
    expect(messages(six)).toContain("6 rows without features (lines 2, 3, 4, 5, 6, …)");
  });

  it("names a line once, however often something is in it", async () => {
    const report = await checkDataset("1 0:0 1:0 2:5e4\n0 0:0 1:-5e4 2:-5e4\n");
    expect(report.values.zero).toEqual({ count: 3, lines: [1, 2] });
    expect(report.values.large).toEqual({ count: 3, lines: [1, 2] });
  });

  it("says of two rows already that a position is the same in all of them, of one row not", async () => {
    expect(messages(await checkDataset("1 0:1 1:1\n0 0:1 2:1\n"))).toEqual([
      "position 1 is feature 0 in every row and tells nothing",
    ]);
    expect(messages(await checkDataset("1 0:1 1:1\n"))).toEqual([]);
  });

  it("survives the largest id", async () => {
    const report = await checkDataset("1 2147483647:1\n0 0:1\n");
    expect(report.features).toMatchObject({
      count: 2,
      maxId: 2 ** 31 - 1,
      holes: { count: 2 ** 31 - 2, ids: [1, 2, 3, 4, 5] },
    });
    expect(report.positions).toEqual([{ position: 1, features: 2, minId: 0, maxId: 2 ** 31 - 1 }]);
  });

  it("describes labels", async () => {
    const rows = Array.from({ length: 21 }, (_, i) => `${i} 0:1`);
    const twenty = await checkDataset(rows.slice(0, 20).join("\n"));
    expect(twenty.labels.counts).toHaveLength(20);
    const more = await checkDataset(rows.join("\n"));
    expect(more.labels).toEqual({ min: 0, max: 20, mean: 10, counts: null });
    expect(formatCheck(more)).toContain("  labels    0 to 20, mean 10.0000\n");
    expect(messages(await checkDataset("0.1 0:1\n0.1 1:1\n"))).toEqual([
      "every label is 0.1, so there is nothing to learn",
    ]);
  });

  it("describes values", async () => {
    const report = await checkDataset("1 0:2 1:0\n0 0:1 1:-10001\n1 0:0 1:0.5\n0 0:10000 1:3e38\n");
    expect(report.values).toEqual({
      otherThanOne: 7,
      min: -10001,
      max: Math.fround(3e38),
      zero: { count: 2, lines: [1, 3] },
      large: { count: 2, lines: [2, 4] },
    });
    expect(report.positions).toEqual([
      { position: 1, features: 1, minId: 0, maxId: 0 },
      { position: 2, features: 1, minId: 1, maxId: 1 },
    ]);
    expect(messages(report)).toEqual([
      "position 1 is feature 0 in every row and tells nothing",
      "position 2 is feature 1 in every row and tells nothing",
      "2 values of 0, which add nothing (lines 1, 3)",
      "2 values beyond ±10000; scale them, or training may overflow (lines 2, 4)",
    ]);
    expect((await checkDataset("1 0:2 1:1\n0 0:3 1:1\n")).values).toMatchObject({ min: 1, max: 3 });
  });

  it("finds rows whose fields are in another order", async () => {
    const report = await checkDataset("1 0:1 5:1\n0 1:1 6:1\n1 2:1 7:1\n0 8:1 0:1\n1 3:1 5:1\n1 4:1 6:1\n");
    expect(report.unordered).toEqual({ count: 1, lines: [4] });
    expect(report.overlaps).toEqual([{ first: 1, second: 2 }]);
    expect(report.shared).toBe(1);
    expect(messages(report)).toEqual([
      "1 row with ids that do not ascend as they do elsewhere; models with fields take the n-th slot as field n (line 4)",
      "ids occur at more than one position (1 time), ranges overlap for example at positions 1 and 2; " +
        "the order of the fields looks mixed",
    ]);
  });

  it("accepts fields in any fixed order, and ranges that overlap without a common id", async () => {
    const report = await checkDataset("1 9:1 0:1 4:1\n0 8:1 2:1 3:1\n1 9:1 2:1 1:1\n");
    expect(report.overlaps).toEqual([{ first: 2, second: 3 }]);
    expect(report.shared).toBe(0);
    expect(report.warnings).toEqual([]);
  });

  it("lists ten overlaps at most", async () => {
    const row = (shift: number) => Array.from({ length: 8 }, (_, i) => `${(i + shift) % 8}:1`).join(" ");
    const report = await checkDataset(`1 ${row(0)}\n0 ${row(3)}\n`);
    expect(report.overlaps).toHaveLength(10);
    expect(report.shared).toBe(8);
  });

  it("counts as a plain count does", async () => {
    const row = fc.array(fc.nat(20), { minLength: 3, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 12 }), async (rows) => {
        const text = rows.map((ids) => `1 ${ids.map((id) => `${id}:1`).join(" ")}\n`).join("");
        const report = await checkDataset(text);
        const all = rows.flat();
        const distinct = (ids: number[]) => new Set(ids).size;
        expect(report.features.count).toBe(distinct(all));
        expect(report.features.holes.count).toBe(Math.max(...all) + 1 - distinct(all));
        expect(report.duplicates.count).toBe(rows.filter((ids) => distinct(ids) < 3).length);
        expect(report.positions?.map(({ features }) => features)).toEqual(
          [0, 1, 2].map((position) => distinct(rows.map((ids) => ids[position]))),
        );
        expect(report.unordered.count).toBe(rows.filter(([a, b, c]) => a > b || b > c).length);
      }),
    );
  });

  it("reports on garbage or throws an IfmError, and so does its text", async () => {
    const tokens = fc.constantFrom("1", " ", "\n", "\r\n", "3:1", "17", ":", "-", "nan", "#", "2:0.5", "9:1e5", "\0");
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.array(tokens, { maxLength: 60 }).map((parts) => encoder.encode(parts.join(""))),
    );
    await fc.assert(
      fc.asyncProperty(garbage, async (bytes) => {
        try {
          expect(formatCheck(await checkDataset(bytes))).toMatch(/\n$/);
        } catch (error) {
          expect(error).toBeInstanceOf(IfmError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("formatCheck", () => {
  it("prints a good file", async () => {
    const report = await checkDataset("1 0:1 10:1\n-1 1:1 11:1\n1 2:0.1 12:1\n", { name: "good.libfm" });
    expect(formatCheck(report)).toBe(
      [
        "good.libfm",
        "  rows      3",
        "  slots     2 in every row, 6 in all",
        "  fields    2",
        "  features  6 different ids, 0 to 12, 7 ids below never occur (3, 4, 5, 6, 7, …)",
        "  labels    -1 (1 row), 1 (2 rows)",
        "  values    1 of 6 other than 1, 0.1 to 1",
        "",
        "  position  features  from id  to id",
        "         1         3        0      2",
        "         2         3       10     12",
        "",
        "nothing looks wrong",
        "",
      ].join("\n"),
    );
  });

  it("prints a broken file", async () => {
    const report = await checkDataset("1 0:1\nabc\n0 0:1 1:1\n1\n1 2:1\n", { name: "bad.libfm", maxErrors: 1 });
    expect(formatCheck(report)).toBe(
      [
        "bad.libfm",
        "  rows          4",
        "  broken lines  1",
        "  slots         0 to 2, mostly 1, 4 in all",
        "  fields        rows differ",
        "  features      3 different ids, 0 to 2",
        "  labels        0 (1 row), 1 (3 rows)",
        "  values        all 1",
        "",
        "  slots  rows",
        "      1     2",
        "      0     1",
        "      2     1",
        "",
        "broken lines",
        '  bad.libfm:2:1: expected a number as label, found "abc"',
        '    rows are "label id:value id:value …" with a decimal number as label',
        "",
        "what looks wrong",
        "  1 line cannot be read; training stops at the first",
        "  2 of 4 rows do not have 1 slot as most do; models with fields need the same number in every row (lines 3, 4)",
        "  1 row without features (line 4)",
        "",
      ].join("\n"),
    );
  });

  it("cuts long tables", async () => {
    const slots = (count: number) => Array.from({ length: count }, (_, i) => `${i}:1`).join(" ");
    const wide = formatCheck(await checkDataset(`1 ${slots(60)}\n`));
    expect(wide).toContain("\n        50         1       49     49\n  … 10 more\n");
    const ragged = Array.from({ length: 15 }, (_, i) => `1 ${slots(i + 1)}\n`).join("");
    expect(formatCheck(await checkDataset(ragged))).toContain("\n     10     1\n  … 5 more\n");
  });
});
