import { describe, expect, test } from "vitest";
import { calibration } from "../../src/metrics/calibration.js";
import { Random } from "../support/random.js";

/** By definition: for each bin, the rows that fall into it. */
function byDefinition(probabilities: Float32Array, labels: Float32Array, count: number, middle: number) {
  const rows = [...probabilities.keys()];
  const y = (row: number) => (labels[row]! > middle ? 1 : 0);
  const mean = (of: readonly number[], figure: (row: number) => number) =>
    of.reduce((sum, row) => sum + figure(row), 0) / of.length;
  const bins = Array.from({ length: count }, (_, b) => {
    const [from, to] = [b / count, (b + 1) / count];
    const inside = rows.filter((row) => {
      const p = probabilities[row]!;
      return p >= from && (p < to || (p === 1 && b === count - 1));
    });
    return {
      from,
      to,
      rows: inside.length,
      predicted: mean(inside, (row) => probabilities[row]!),
      observed: mean(inside, y),
    };
  });
  const filled = bins.filter((bin) => bin.rows > 0);
  return {
    ece: filled.reduce((sum, bin) => sum + (bin.rows / rows.length) * Math.abs(bin.observed - bin.predicted), 0),
    brier: mean(rows, (row) => (probabilities[row]! - y(row)) ** 2),
    bins,
  };
}

describe("calibration", () => {
  test.each([
    { labels: [0, 1], middle: 0.5 },
    { labels: [-1, 1], middle: 0 },
    { labels: [2, 7], middle: 4.5 },
  ])("is what its definition says, labels $labels", ({ labels: values, middle }) => {
    const random = new Random(2019);
    for (let run = 0; run < 100; run++) {
      const rows = 2 + random.int(60);
      const bins = 1 + random.int(20);
      // Edges of bins among them: 0, 1 and what lies between two bins.
      const probabilities = Float32Array.from({ length: rows }, () =>
        random.chance(0.3) ? random.int(bins + 1) / bins : random.value(0, 1),
      );
      const labels = Float32Array.from({ length: rows }, (_, row) => values[row] ?? random.pick(values));
      const found = calibration(probabilities, labels, { bins });
      const expected = byDefinition(probabilities, labels, bins, middle);
      expect(found.ece).toBeCloseTo(expected.ece, 12);
      expect(found.brier).toBeCloseTo(expected.brier, 12);
      expect(found.bins.map(({ rows }) => rows)).toEqual(expected.bins.map(({ rows }) => rows));
      found.bins.forEach((bin, b) => {
        const { predicted, observed, ...edges } = expected.bins[b]!;
        expect(bin).toMatchObject(edges);
        if (bin.rows === 0) expect([bin.predicted, bin.observed]).toEqual([Number.NaN, Number.NaN]);
        else expect(Math.abs(bin.predicted - predicted) + Math.abs(bin.observed - observed)).toBeLessThan(1e-12);
      });
    }
  });

  test("by hand", () => {
    const found = calibration(Float32Array.of(0.25, 0.25, 0.75, 1), Float32Array.of(0, 1, 1, 1), { bins: 2 });
    expect(found).toEqual({
      ece: (2 * 0.25 + 2 * 0.125) / 4,
      brier: (0.25 ** 2 + 0.75 ** 2 + 0.25 ** 2) / 4,
      bins: [
        { from: 0, to: 0.5, rows: 2, predicted: 0.25, observed: 0.5 },
        { from: 0.5, to: 1, rows: 2, predicted: 0.875, observed: 1 },
      ],
    });
  });

  test("probabilities that come true have an error of about 0, and certainty that is right of 0", () => {
    const random = new Random(1);
    const probabilities = Float32Array.from({ length: 50_000 }, () => random.value(0, 1));
    const labels = probabilities.map((p) => Number(random.chance(p)));
    const { ece, brier } = calibration(probabilities, labels);
    expect(ece).toBeLessThan(0.01);
    expect(brier).toBeCloseTo(1 / 6, 2); // ∫ p (1 − p)
    expect(calibration(labels, labels)).toMatchObject({ ece: 0, brier: 0 });
    expect(
      calibration(
        labels,
        labels.map((y) => 1 - y),
      ),
    ).toMatchObject({ ece: 1, brier: 1 });
  });

  test("one bin: the mean probability against the share of positives; order does not matter", () => {
    const probabilities = Float32Array.of(0.5, 0.25, 0.75, 0.5);
    expect(calibration(probabilities, Float32Array.of(1, 1, 1, 0), { bins: 1 }).ece).toBe(0.25);
    expect(calibration(probabilities.toReversed(), Float32Array.of(0, 1, 1, 1), { bins: 1 }).ece).toBe(0.25);
  });

  test("one class only: the training labels say which, else the sign", () => {
    const half = Float32Array.of(0.5, 0.5);
    const observed = (labels: number[], range = {}) =>
      calibration(half, Float32Array.from(labels), range).bins[5]!.observed;
    expect(observed([1, 1])).toBe(1);
    expect(observed([0, 0])).toBe(0);
    expect(observed([-1, -1])).toBe(0);
    expect(observed([2, 2], { labelMin: 2, labelMax: 3 })).toBe(0);
    expect(observed([2, 2], { labelMin: 1, labelMax: 2 })).toBe(1);
  });

  test("no rows: no figures, but bins", () => {
    const none = calibration(new Float32Array(0), new Float32Array(0), { bins: 3 });
    expect(none).toMatchObject({ ece: Number.NaN, brier: Number.NaN });
    expect(none.bins.map(({ rows }) => rows)).toEqual([0, 0, 0]);
  });

  test.each([
    ["IFM_USAGE", "bins: expected a whole number >= 1, got 0", [0.5], [1], { bins: 0 }],
    ["IFM_USAGE", "probabilities: expected one for each of 2 rows, got 1", [0.5], [1, 0], {}],
    ["IFM_USAGE", "probabilities: expected numbers, found NaN in row 2", [0.5, Number.NaN], [1, 0], {}],
    ["IFM_USAGE", "probabilities: expected numbers from 0 to 1, found 1.5 in row 1", [1.5, 0], [1, 0], {}],
    ["IFM_DATA", "row 2 has the label 0.5, expected one of two values", [0.5, 0.5, 0.5], [0, 0.5, 1], {}],
    ["IFM_DATA", "row 1 has the label 2, expected one of two values", [0.5], [2], { labelMin: 0, labelMax: 1 }],
  ])("refuses with %s: %s", (code, message, probabilities, labels, options) => {
    expect(() => calibration(Float32Array.from(probabilities), Float32Array.from(labels), options)).toThrow(
      expect.objectContaining({ code, message }),
    );
  });
});
