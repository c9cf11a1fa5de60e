import { describe, expect, test } from "vitest";
import { groupedAuc } from "../../src/metrics/gauc.js";
import { auc } from "../reference/index.js";
import { Random } from "../support/random.js";

/** By definition: all pairs of each group, weighted by its rows. */
function byPairs(scores: Float32Array, labels: Float32Array, of: Uint32Array, middle: number) {
  let [sum, weights, groups] = [0, 0, 0];
  for (const group of new Set(of)) {
    const rows = [...of.keys()].filter((row) => of[row] === group);
    const area = auc(
      rows.map((row) => (labels[row]! > middle ? 1 : -1)),
      rows.map((row) => scores[row]!),
    );
    if (Number.isNaN(area)) continue;
    sum += rows.length * area;
    weights += rows.length;
    groups++;
  }
  return { gauc: sum / weights, groups };
}

describe("groupedAuc", () => {
  test("is the AUC of the groups weighted by rows; groups of one class do not count", () => {
    const random = new Random(2019);
    for (let run = 0; run < 200; run++) {
      const rows = 1 + random.int(40);
      const count = 1 + random.int(8);
      const of = Uint32Array.from({ length: rows }, () => random.int(count));
      const scores = Float32Array.from({ length: rows }, () => random.pick([-1, -0, 0, 0.5, random.value()]));
      const labels = Float32Array.from({ length: rows }, () => 1 + random.int(5));
      const before = [scores.slice(), labels.slice(), of.slice()];
      const found = groupedAuc(scores, labels, { count, of }, 3);
      const expected = byPairs(scores, labels, of, 3);
      expect(found.groups).toBe(expected.groups);
      if (expected.groups === 0) expect(found.gauc).toBeNaN();
      else expect(found.gauc).toBeCloseTo(expected.gauc, 12);
      expect([scores, labels, of]).toEqual(before);
    }
  });

  test("of one group is the AUC", () => {
    const [scores, labels] = [Float32Array.of(1, 2, 3, 2), Float32Array.of(0, 1, 1, 0)];
    const found = groupedAuc(scores, labels, { count: 1, of: new Uint32Array(4) }, 0.5);
    expect(found).toEqual({ gauc: auc([-1, 1, 1, -1], [...scores]), groups: 1 });
  });

  test("ignores what is the same for a whole group: the reason for it", () => {
    const of = Uint32Array.of(0, 0, 1, 1);
    const labels = Float32Array.of(0, 1, 0, 1);
    const { gauc } = groupedAuc(Float32Array.of(1, 2, 101, 102), labels, { count: 2, of }, 0.5);
    expect(gauc).toBe(1);
    expect(auc([-1, 1, -1, 1], [1, 2, 101, 102])).toBe(0.75);
  });

  test("is NaN without rows, and when no group has both classes", () => {
    const none = groupedAuc(new Float32Array(0), new Float32Array(0), { count: 0, of: new Uint32Array(0) }, 0);
    expect(none).toEqual({ gauc: Number.NaN, groups: 0 });
    const apart = groupedAuc(Float32Array.of(1, 2), Float32Array.of(0, 1), { count: 2, of: Uint32Array.of(0, 1) }, 0.5);
    expect(apart).toEqual({ gauc: Number.NaN, groups: 0 });
  });
});
