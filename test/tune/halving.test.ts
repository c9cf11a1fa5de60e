import { describe, expect, it } from "vitest";
import { epochsOf, halve, ranked, rungsOf, type TrialResult } from "../../src/tune/halving.js";
import type { Trial } from "../../src/tune/space.js";

describe("rungs", () => {
  it.each([
    [27, 27, 3, "27:1 9:3 3:9 1:27"],
    [6, 4, 3, "6:2 2:4"],
    [10, 100, 3, "10:12 4:34 2:100"],
    [100, 4, 2, "100:1 50:2 25:4"],
    [8, 7, 2, "8:2 4:4 2:7"],
    [1, 9, 3, "1:9"],
    [50, 1, 3, "50:1"],
    [2, 9, 3, "2:9"],
    [243, 243, 3, "243:1 81:3 27:9 9:27 3:81 1:243"],
  ])("%i trials of %i epochs, one in %i goes on: %s", (trials, epochs, reduce, expected) => {
    const rungs = rungsOf(trials, epochs, reduce);
    expect(rungs.map((rung) => `${rung.trials}:${rung.epochs}`).join(" ")).toBe(expected);
  });

  it("begin with all trials, end at all epochs, and train longer at each", () => {
    for (let trials = 1; trials <= 30; trials++) {
      for (let epochs = 1; epochs <= 30; epochs++) {
        for (const reduce of [2, 3, 5]) {
          const rungs = rungsOf(trials, epochs, reduce);
          expect(rungs[0].trials).toBe(trials);
          expect(rungs.at(-1)?.epochs).toBe(epochs);
          for (let r = 1; r < rungs.length; r++) {
            expect(rungs[r].epochs).toBeGreaterThan(rungs[r - 1].epochs);
            expect(rungs[r].trials).toBe(Math.ceil(rungs[r - 1].trials / reduce));
          }
        }
      }
    }
  });

  it("say how many epochs a study takes", () => {
    expect(epochsOf(rungsOf(27, 27, 3))).toEqual([27, 18, 18, 18]);
  });
});

/** A result; without a score, of a trial that failed. */
function result(trial: number, rung: number, score?: number): TrialResult {
  const end = score === undefined ? ({ failed: "diverged" } as const) : { score };
  return { trial, options: {}, rung, epochs: rung, seconds: 0, ...end };
}

const numbers = (results: readonly Trial[]) => results.map(({ trial }) => trial);

describe("ranks", () => {
  it("are by rung, then score, then number; failed trials are last", () => {
    const results = [
      result(6, 2),
      result(1, 1, 0.1),
      result(2, 2, 0.5),
      result(3, 2, 0.4),
      result(5, 1),
      result(4, 2, 0.4),
    ];
    expect(numbers(ranked(results))).toEqual([3, 4, 2, 1, 6, 5]);
  });
});

describe("a study", () => {
  /** Runs a study of trials whose scores are those of a table, by rung and number. */
  async function study(trials: number, epochs: number, reduce: number, score: (trial: number, rung: number) => number) {
    const ran: string[] = [];
    const kept: number[][] = [];
    const results = await halve(
      Array.from({ length: trials }, (_, i) => ({ trial: i + 1, options: {} })),
      rungsOf(trials, epochs, reduce),
      {
        begin: (rung) => ran.push(`rung ${rung}`),
        run: async ({ trial }, rung, before) => {
          ran.push(`${trial} after ${before?.rung ?? 0}`);
          const found = score(trial, rung);
          return result(trial, rung, Number.isNaN(found) ? undefined : found);
        },
        keep: (numbers) => kept.push([...numbers]),
      },
    );
    return { ran, kept, results };
  }

  it("lets the best go on, best first", async () => {
    const { ran, results } = await study(4, 4, 2, (trial, rung) => (rung === 1 ? 10 - trial : trial));
    expect(ran).toEqual(
      ["rung 1", "1 after 0", "2 after 0", "3 after 0", "4 after 0"].concat(
        ["rung 2", "4 after 1", "3 after 1"],
        ["rung 3", "3 after 2"],
      ),
    );
    expect(results.map(({ trial, rung }) => [trial, rung])).toEqual([
      [3, 3],
      [4, 2],
      [2, 1],
      [1, 1],
    ]);
  });

  it("breaks ties by number", async () => {
    const { results } = await study(9, 9, 3, () => 1);
    expect(numbers(results)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("lets no failed trial go on, not even into an empty place", async () => {
    const { ran, results } = await study(6, 4, 2, (trial) => (trial === 5 ? 1 : Number.NaN));
    expect(ran.slice(7)).toEqual(["rung 2", "5 after 1", "rung 3", "5 after 2"]);
    expect(results[0]).toMatchObject({ trial: 5, rung: 3 });
  });

  it("falls back to an earlier rung when all fail later", async () => {
    const { results } = await study(4, 4, 2, (trial, rung) => (rung === 1 ? trial : Number.NaN));
    expect(numbers(results)).toEqual([3, 4, 1, 2]);
  });

  it("ends without a rung for nobody", async () => {
    const { ran } = await study(4, 4, 2, () => Number.NaN);
    expect(ran.filter((line) => line.startsWith("rung"))).toEqual(["rung 1"]);
  });

  it("says which trials may be asked for again: those that wait, then the best", async () => {
    const { kept } = await study(4, 4, 2, (trial) => -trial);
    expect(kept).toEqual([[2, 3, 4, 1], [3, 4, 2, 1], [4, 3, 2], [4, 3], [3, 4], [4], [4]]);
  });
});
