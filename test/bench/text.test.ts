import { describe, expect, it } from "vitest";
import { lineChart, logTicks, tickLabel } from "../../bench/svg.js";
import { table } from "../../bench/table.js";
import { digits, median, percent, ratio, short } from "../../bench/time.js";

describe("numbers", () => {
  it("have about three digits", () => {
    expect([3_190_000, 845_123, 9100, 12.34, 0.0123].map(short)).toEqual(["3.19M", "845k", "9.10k", "12.3", "0.012"]);
    expect([0, 1.005, 99.94, 1234].map(digits)).toEqual(["0", "1.00", "99.9", "1234"]);
    expect([0.456, 1.5].map(percent)).toEqual(["46 %", "150 %"]);
    expect(ratio(4.4)).toBe("4.40 ×");
  });

  it("that are none are a dash", () => {
    expect([short, digits, percent, ratio].map((text) => text(Number.NaN))).toEqual(["–", "–", "–", "–"]);
  });

  it("have a median", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
  });
});

describe("a table", () => {
  it("is aligned, numbers to the right", () => {
    expect(
      table(
        ["a", ">b"],
        [
          ["x", "1.00"],
          ["long|er", 2],
        ],
      ),
    ).toBe(["| a        |    b |", "| -------- | ---: |", "| x        | 1.00 |", "| long\\|er |    2 |"].join("\n"));
  });

  it("has a cell under every title", () => {
    expect(() => table(["a", "b"], [["x"]])).toThrow("1 cells under 2 titles");
  });
});

describe("a chart", () => {
  const chart = {
    title: `a < b & "c"`,
    x: "rows",
    y: "time",
    series: [
      { name: "<one>", points: [[1, 10] as [number, number], [10, 100] as [number, number]] },
      { name: "two", points: [[1, 10] as [number, number], [10, 90] as [number, number]] },
    ],
  };

  it("escapes its texts", () => {
    const svg = lineChart(chart);
    expect(svg).toContain("<title>a &lt; b &amp; &quot;c&quot;</title>");
    expect(svg).toContain(">&lt;one&gt;</text>");
    expect(svg).not.toContain("<one>");
  });

  it("has a corner for every point, inside of the picture", () => {
    const lines = [...lineChart(chart).matchAll(/<polyline[^>]* points="([^"]+)"/g)].map(([, points]) =>
      points.split(" ").map((point) => point.split(",").map(Number)),
    );
    expect(lines.map((line) => line.length)).toEqual([2, 2]);
    for (const [x, y] of lines.flat()) {
      expect(x).toBeGreaterThanOrEqual(72);
      expect(x).toBeLessThanOrEqual(490);
      expect(y).toBeGreaterThanOrEqual(40);
      expect(y).toBeLessThanOrEqual(308);
    }
    expect(lines[0][1][1]).toBeLessThan(lines[0][0][1]); // up is more
  });

  it("keeps names apart", () => {
    const heights = [...lineChart(chart).matchAll(/y="([\d.]+)" style/g)].map(([, y]) => Number(y));
    expect(Math.abs(heights[0] - heights[1])).toBeGreaterThanOrEqual(15);
  });

  it("refuses what has no logarithm", () => {
    const bad = { ...chart, series: [{ name: "x", points: [[1, 0] as [number, number]] }] };
    expect(() => lineChart(bad)).toThrow("logarithmic");
    expect(() => lineChart({ ...chart, series: [] })).toThrow("no points");
  });

  it("has round numbers on its axes", () => {
    expect(logTicks(3, 40)).toEqual([2, 5, 10, 20, 50]);
    expect(logTicks(10, 1000)).toEqual([10, 20, 50, 100, 200, 500, 1000]);
    expect(logTicks(1000, 3e7)).toEqual([1e3, 1e4, 1e5, 1e6, 1e7, 1e8]);
    expect([39, 1000, 1024, 20_000, 1e7].map(tickLabel)).toEqual(["39", "1k", "1024", "20k", "10M"]);
  });
});
