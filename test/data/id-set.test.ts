import { describe, expect, it } from "vitest";
import { IdSet } from "../../src/data/id-set.js";
import { Random } from "../support/random.js";

describe("a set of ids", () => {
  /** Both sides of every word's and page's border, and the ends. */
  const COUNT = 3 * 8192 + 5;
  const BORDERS = [0, 1, 31, 32, 33, 63, 64, 8190, 8191, 8192, 8193, 16383, 16384, 24575, 24576, COUNT - 1];

  it("has what was added and not deleted, like any set", () => {
    const random = new Random(1);
    const set = new IdSet(COUNT);
    const expected = new Set<number>();
    for (let i = 0; i < 5000; i++) {
      const id = random.chance(0.5) ? random.pick(BORDERS) : random.int(COUNT);
      if (random.chance(0.6)) {
        set.add(id);
        expected.add(id);
      } else {
        set.delete(id);
        expected.delete(id);
      }
      expect(set.size).toBe(expected.size);
      expect(set.has(id)).toBe(expected.has(id));
    }
    for (let id = 0; id < COUNT; id++) if (set.has(id) !== expected.has(id)) throw new Error(`${id} is wrong`);
  });

  it("has one id and no other", () => {
    for (const id of BORDERS) {
      const set = new IdSet(COUNT);
      set.add(id);
      set.add(id);
      expect([set.size, BORDERS.filter((other) => set.has(other))]).toEqual([1, [id]]);
      set.delete(id);
      set.delete(id);
      expect([set.size, BORDERS.filter((other) => set.has(other))]).toEqual([0, []]);
    }
  });

  it("tells the first ids that are missing, below its count", () => {
    const set = new IdSet(40);
    for (let id = 0; id < 40; id++) if (id % 13 !== 5) set.add(id);
    expect(set.firstMissing(2)).toEqual([5, 18]);
    expect(set.firstMissing(9)).toEqual([5, 18, 31]);
    expect(new IdSet(3).firstMissing(5)).toEqual([0, 1, 2]);
    expect(new IdSet(0).firstMissing(5)).toEqual([]);
  });
});
