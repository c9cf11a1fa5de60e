import { describe, expect, it } from "vitest";
import { bytes, columns, count, duration, loss, metric, percent, plain, prediction } from "../../src/cli/format.js";
import { flatten } from "../../src/cli/inspect.js";
import { lines } from "../../src/cli/predict.js";
import { secondsLeft } from "../../src/cli/progress.js";

describe("numbers for people", () => {
  it.each([
    [0, "0"],
    [999, "999"],
    [1000, "1,000"],
    [1234567.4, "1,234,567"],
  ])("count of %s is %s", (value, text) => {
    expect(count(value)).toBe(text);
  });

  it.each([
    [4, "4 B"],
    [999, "999 B"],
    [1000, "1.00 kB"],
    [999_499, "999 kB"],
    [999_500, "1.00 MB"],
    [5.53e6, "5.53 MB"],
  ])("bytes of %s is %s", (value, text) => {
    expect(bytes(value)).toBe(text);
  });

  it.each([
    [0.123, "0.12 s"],
    [14.25, "14.3 s"],
    [59.96, "1 min 00 s"],
    [125, "2 min 05 s"],
    [3599.9, "1 h 00 min"],
    [11_220, "3 h 07 min"],
    [Number.POSITIVE_INFINITY, "–"],
  ])("duration of %s is %s", (value, text) => {
    expect(duration(value)).toBe(text);
  });

  it.each([
    [0.93461, "0.9346"],
    [Number.NaN, "–"],
  ])("metric of %s is %s", (value, text) => {
    expect(metric(value)).toBe(text);
  });

  it.each([
    [0.8355031, "0.835503"],
    [15.064538863, "15.0645"],
    [30623.83, "30623.8"],
    [123456.7, "123,457"],
    [1.2345e9, "1.235e+9"],
    [1.5e-7, "1.500e-7"],
    [0, "0.000000"],
  ])("loss of %s is %s", (value, text) => {
    expect(loss(value)).toBe(text);
  });

  it.each([
    [0.0034, "0.3 %"],
    [0.00001, "< 0.1 %"],
    [0, "0.0 %"],
  ])("percent of %s is %s", (value, text) => {
    expect(percent(value)).toBe(text);
  });

  it.each([
    [4096, "4,096"],
    [0.1, "0.1"],
    [1 / 3, "0.333333"],
    [1e-8, "1e-8"],
  ])("plain of %s is %s", (value, text) => {
    expect(plain(value)).toBe(text);
  });

  it("have no metric where there is none", () => {
    expect(metric(undefined)).toBe("–");
  });

  it("never take more room than the table has for a loss", () => {
    for (let exponent = -40; exponent < 38; exponent++) {
      expect(loss(9.99999 * 10 ** exponent).length).toBeLessThanOrEqual(9);
    }
  });

  it("stand in columns", () => {
    expect(
      columns(
        [
          ["a", "10"],
          ["long", "2"],
        ],
        [1],
      ),
    ).toEqual(["a     10", "long   2"]);
    expect(columns([])).toEqual([]);
  });
});

describe("predictions", () => {
  it.each([
    [0, "0.00000000"],
    [-0, "0.00000000"],
    [1, "1.00000000"],
    [Math.fround(-0.1), "-0.100000001"],
    [Math.fround(1e-7), "1.00000001e-7"],
    [Math.fround(3.4028235e38), "3.40282347e+38"],
  ])("%s is written as %s", (score, text) => {
    expect(prediction(score)).toBe(text);
  });

  it("are read back as the same f32", () => {
    const bits = new Uint32Array(1);
    const floats = new Float32Array(bits.buffer);
    for (let i = 0; i < 20_000; i++) {
      bits[0] = Math.imul(i, 2654435761);
      if (Number.isFinite(floats[0])) expect(Math.fround(Number(prediction(floats[0])))).toBe(floats[0]);
    }
  });

  it("come one a line, in row order, however many there are", () => {
    const scores = Float32Array.from({ length: 20_001 }, (_, row) => row);
    const text = [...lines(scores)].join("");
    expect(text.split("\n").slice(0, -1).map(Number)).toEqual([...scores]);
    expect([...lines(new Float32Array(0))]).toEqual([]);
  });
});

describe("progress", () => {
  it("foresees all epochs that are left", () => {
    const progress = { phase: "train", epoch: 2, epochs: 4, rows: 250, totalRows: 1000, rowsPerSecond: 100 } as const;
    expect(secondsLeft(progress)).toBe(27.5);
  });
});

describe("an object as pairs of names and texts", () => {
  it("has dotted names, and leaves out what is missing", () => {
    const object = {
      seed: 2019,
      lr: 0.05,
      l2: { linear: 1000 },
      hidden: [],
      fields: [0, 1],
      gone: undefined,
      no: null,
    };
    expect(flatten(object)).toEqual([
      ["seed", "2019"],
      ["lr", "0.05"],
      ["l2.linear", "1,000"],
      ["hidden", "none"],
      ["fields", "0, 1"],
    ]);
  });

  it("cuts long texts", () => {
    const [[, text]] = flatten({ fieldOfSlot: Array.from({ length: 100 }, (_, i) => i) });
    expect(text).toHaveLength(52);
    expect(text.endsWith("…")).toBe(true);
  });
});
