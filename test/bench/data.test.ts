import { describe, expect, it } from "vitest";
import { equalFields, FIELDS, libfmText, madeRows, slice } from "../../bench/data.js";
import { readLibfm } from "../../src/data/read.js";

describe("made rows", () => {
  it("have the sizes of the data sets whose shape they have", () => {
    expect(madeRows(FIELDS.frappe, 10).featureCount).toBe(5382);
    expect(madeRows(FIELDS["ml-tag"], 10).featureCount).toBe(90_445);
  });

  it("have one feature of each field, the same in every run", () => {
    const data = madeRows([3, 5], 200);
    expect(data.features.filter((_, i) => i % 2 === 0).every((j) => j < 3)).toBe(true);
    expect(data.features.filter((_, i) => i % 2 === 1).every((j) => j >= 3 && j < 8)).toBe(true);
    expect(madeRows([3, 5], 200)).toEqual(data);
    expect(madeRows([3, 5], 200, 3, 2).features).not.toEqual(data.features);
  });

  it("are skewed, or not", () => {
    const share = (skew: number) => madeRows([100], 5000, skew).features.filter((j) => j < 10).length / 5000;
    expect(share(1)).toBeCloseTo(0.1, 1);
    expect(share(3)).toBeCloseTo(0.1 ** (1 / 3), 1);
  });

  it("are what their text says", async () => {
    const data = slice(madeRows([3, 5], 20), 5, 9);
    const read = await readLibfm(libfmText(data));
    expect(read.labels).toEqual(data.labels);
    expect(read.features).toEqual(data.features);
    expect(read.rowPtr).toEqual(data.rowPtr);
  });
});

it("cuts features into fields of about one size", () => {
  expect(equalFields(3, 10)).toEqual([3, 3, 4]);
  expect(equalFields(39, 5000).reduce((sum, size) => sum + size)).toBe(5000);
});
