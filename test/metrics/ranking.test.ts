import { describe, expect, test } from "vitest";
import type { Groups } from "../../src/data/groups.js";
import { type RankingMetrics, rankingMetrics } from "../../src/metrics/ranking.js";
import { auc } from "../reference/index.js";
import { Random } from "../support/random.js";

interface Row {
  score: number;
  label: number;
  group: number;
}

/** Groups as `groupRows` numbers them: in the order in which they first occur. */
function groupsOf(names: readonly number[]): Groups {
  const numbers = new Map<number, number>();
  for (const name of names) if (!numbers.has(name)) numbers.set(name, numbers.size);
  return { count: numbers.size, of: Uint32Array.from(names, (name) => numbers.get(name)!) };
}

function measure(rows: readonly Row[], options?: Parameters<typeof rankingMetrics>[3]): RankingMetrics {
  const scores = Float32Array.from(rows, ({ score }) => score);
  const labels = Float32Array.from(rows, ({ label }) => label);
  return rankingMetrics(scores, labels, groupsOf(rows.map(({ group }) => group)), options);
}

function* permutations<T>(items: readonly T[]): Generator<T[]> {
  if (items.length === 0) yield [];
  for (let i = 0; i < items.length; i++) {
    for (const rest of permutations(items.toSpliced(i, 1))) yield [items[i]!, ...rest];
  }
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const dcg = (gains: readonly number[], k: number) =>
  gains.slice(0, k).reduce((sum, gain, i) => sum + gain / Math.log2(i + 2), 0);

/** By definition: every order of the rows that the scores allow, one after the other. */
function byDefinition(rows: readonly Row[], k: number, middle: number, gainOf: (label: number) => number) {
  const groups = [...new Set(rows.map(({ group }) => group))].map((g) => rows.filter(({ group }) => group === g));
  const found = groups.map((group) => {
    const orders = [...permutations(group)].filter((order) =>
      order.every(({ score }, i) => i === 0 || order[i - 1]!.score >= score),
    );
    const over = (figure: (order: Row[]) => number) => mean(orders.map(figure));
    const isPositive = ({ label }: Row) => label > middle;
    const positives = group.filter(isPositive).length;
    const best = Math.max(...[...permutations(group.map(({ label }) => gainOf(label)))].map((gains) => dcg(gains, k)));
    const labels = group.map((row) => (isPositive(row) ? 1 : -1));
    return {
      rows: group.length,
      positives,
      best,
      ndcg: over(
        (order) =>
          dcg(
            order.map(({ label }) => gainOf(label)),
            k,
          ) / best,
      ),
      recall: over((order) => order.slice(0, k).filter(isPositive).length / positives),
      hitRate: over((order) => Number(order.slice(0, k).some(isPositive))),
      mrr: over((order) => 1 / (order.findIndex(isPositive) + 1)),
      auc: auc(
        labels,
        group.map(({ score }) => score),
      ),
    };
  });
  const withPositives = found.filter(({ positives }) => positives > 0);
  const withGain = found.filter(({ best }) => best > 0);
  const withBoth = withPositives.filter(({ positives, rows }) => positives < rows);
  return {
    k,
    groups: found.length,
    groupsWithGain: withGain.length,
    groupsWithPositives: withPositives.length,
    groupsWithBoth: withBoth.length,
    ndcg: mean(withGain.map(({ ndcg }) => ndcg)),
    recall: mean(withPositives.map(({ recall }) => recall)),
    hitRate: mean(withPositives.map(({ hitRate }) => hitRate)),
    mrr: mean(withPositives.map(({ mrr }) => mrr)),
    gauc:
      withBoth.reduce((sum, { rows, auc }) => sum + rows * auc, 0) / withBoth.reduce((sum, { rows }) => sum + rows, 0),
  };
}

function assertMetrics(actual: RankingMetrics, expected: RankingMetrics): void {
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [name, value] of Object.entries(expected) as [keyof RankingMetrics, number][]) {
    if (Number.isNaN(value)) expect(actual[name], name).toBeNaN();
    else expect(actual[name], name).toBeCloseTo(value, 12);
  }
}

/** Rows of small groups, in any order, with few scores. */
function randomRows(random: Random, labels: readonly number[]): Row[] {
  const scores = [-1, 0, 0.25, 3, Number.POSITIVE_INFINITY].slice(0, 1 + random.int(5));
  const groups = 1 + random.int(4);
  const rows = Array.from({ length: groups }, (_, group) =>
    Array.from({ length: 1 + random.int(6) }, () => ({
      score: random.chance(0.2) ? random.value() : random.pick(scores),
      label: random.pick(labels),
      group,
    })),
  ).flat();
  return random.permutation(rows.length).map((i) => rows[i]!);
}

describe("rankingMetrics is what its definition says, ties being in every order equally often", () => {
  const positive = (label: number) => Number(label > 0);
  const graded = (label: number) => (label < 0 ? 0 : 2 ** label - 1);

  test.each([
    { name: "labels -1 and 1", labels: [-1, 1], middle: 0, gainOf: positive },
    { name: "labels 0 and 1", labels: [0, 1], middle: 0.5, gainOf: positive },
    { name: "grades 0 to 4", labels: [0, 1, 2, 3, 4], middle: 2, gainOf: graded },
    { name: "grades below 0, and in between", labels: [-2, -0.5, 0, 0.5, 2], middle: 0, gainOf: graded },
  ])("$name", ({ labels, middle, gainOf }) => {
    const random = new Random(2019);
    const range = { labelMin: Math.min(...labels), labelMax: Math.max(...labels) };
    for (let run = 0; run < 120; run++) {
      const rows = randomRows(random, labels);
      // Few rows of many grades may have two of them only.
      const hasGrades = rows.some(({ label }) => label !== range.labelMin && label !== range.labelMax);
      const k = 1 + random.int(7);
      const binary = (label: number) => Number(label > middle);
      assertMetrics(measure(rows, { k, ...range }), byDefinition(rows, k, middle, hasGrades ? gainOf : binary));
    }
  });
});

describe("rankingMetrics", () => {
  const rows: Row[] = [
    { score: 3, label: 1, group: 5 },
    { score: 2, label: 0, group: 5 },
    { score: 1, label: 1, group: 5 },
    { score: 7, label: 0, group: 2 },
    { score: 6, label: 1, group: 2 },
    { score: 0, label: 1, group: 4 },
    { score: 1, label: 0, group: 3 },
  ];

  test("by hand", () => {
    const first = (1 + 1 / 2) / (1 + 1 / Math.log2(3));
    const second = 1 / Math.log2(3);
    assertMetrics(measure(rows), {
      k: 10,
      groups: 4,
      groupsWithGain: 3,
      groupsWithPositives: 3,
      groupsWithBoth: 2,
      ndcg: (first + second + 1) / 3,
      recall: 1,
      hitRate: 1,
      mrr: (1 + 1 / 2 + 1) / 3,
      gauc: (3 * 0.5 + 2 * 0) / 5,
    });
    const atOne = measure(rows, { k: 1 });
    expect(atOne.ndcg).toBeCloseTo((1 + 0 + 1) / 3, 12);
    expect(atOne.recall).toBeCloseTo((1 / 2 + 0 + 1) / 3, 12);
    expect(atOne.hitRate).toBeCloseTo(2 / 3, 12);
  });

  test("the best order has 1 everywhere, the worst has the AUC 0", () => {
    const random = new Random(3);
    for (let run = 0; run < 50; run++) {
      const some = randomRows(random, [0, 1, 2, 3]).concat(
        { score: 0, label: 3, group: 9 },
        { score: 0, label: 0, group: 9 },
      );
      const ordered = measure(some.map((row) => ({ ...row, score: row.label })));
      expect(ordered).toMatchObject({ ndcg: 1, recall: 1, hitRate: 1, mrr: 1, gauc: 1 });
      expect(measure(some.map((row) => ({ ...row, score: -row.label }))).gauc).toBe(0);
    }
  });

  test("nothing is above 1 or below 0", () => {
    const random = new Random(4);
    for (let run = 0; run < 200; run++) {
      const { ndcg, recall, hitRate, mrr } = measure(randomRows(random, [0.1, 0.3, 0.7, 2.9]), { k: 3 });
      for (const figure of [ndcg, recall, hitRate, mrr].filter((value) => !Number.isNaN(value))) {
        expect(figure).toBeGreaterThanOrEqual(0);
        expect(figure).toBeLessThanOrEqual(1);
      }
    }
  });

  test("the order of the rows does not matter", () => {
    const random = new Random(5);
    for (let run = 0; run < 50; run++) {
      const some = randomRows(random, [0, 1, 2]);
      const others = random.permutation(some.length).map((i) => some[i]!);
      const range = { labelMin: 0, labelMax: 2 };
      assertMetrics(measure(others, range), measure(some, range));
      // Within one group to the bit: sums over ties go by label.
      const alone = some.map((row) => ({ ...row, group: 0 }));
      expect(measure(random.permutation(some.length).map((i) => alone[i]!))).toEqual(measure(alone));
    }
  });

  test("scores through a growing function, other in each group, change nothing", () => {
    const random = new Random(6);
    for (let run = 0; run < 50; run++) {
      const some = randomRows(random, [-1, 1]);
      const grown = some.map((row) => ({ ...row, score: Math.fround(row.score * 4 ** row.group) }));
      expect(measure(grown)).toEqual(measure(some));
    }
  });

  test("labels -1 and 1 are as good as 0 and 1", () => {
    const random = new Random(7);
    for (let run = 0; run < 50; run++) {
      const some = randomRows(random, [0, 1]);
      const signed = some.map((row) => ({ ...row, label: 2 * row.label - 1 }));
      expect(measure(signed)).toEqual(measure(some));
    }
  });

  test("many ties at scale: what is expected of a constant score", () => {
    const random = new Random(8);
    const some = Array.from({ length: 5000 }, () => ({ score: 1, label: Number(random.chance(0.01)), group: 0 }));
    const positives = some.filter(({ label }) => label === 1).length;
    const { recall, hitRate, mrr, gauc } = measure(some, { k: 50 });
    expect(recall).toBeCloseTo(50 / 5000, 12);
    expect(gauc).toBe(0.5);
    let none = 1;
    let reciprocal = 0;
    for (let rank = 1; rank <= 5000; rank++) {
      const isFirst = none * (positives / (5001 - rank));
      reciprocal += isFirst / rank;
      none = Math.max(0, none - isFirst);
      if (rank === 50) expect(hitRate).toBeCloseTo(1 - none, 10);
    }
    expect(mrr).toBeCloseTo(reciprocal, 10);
  });

  test("one class only: what there is no figure of is NaN", () => {
    const all = (label: number) => rows.map((row) => ({ ...row, label }));
    const counts = { groups: 4, groupsWithBoth: 0, gauc: Number.NaN };
    for (const positives of [measure(all(1)), measure(all(1), { labelMin: 0, labelMax: 1 })]) {
      expect(positives).toMatchObject({ ...counts, groupsWithPositives: 4, ndcg: 1, recall: 1, hitRate: 1, mrr: 1 });
    }
    for (const negatives of [measure(all(-1)), measure(all(0)), measure(all(2), { labelMin: 2, labelMax: 3 })]) {
      expect(negatives).toMatchObject({ ...counts, groupsWithGain: 0, groupsWithPositives: 0 });
      expect([negatives.ndcg, negatives.recall, negatives.hitRate, negatives.mrr]).toEqual(Array(4).fill(Number.NaN));
    }
  });

  test("no rows, one row", () => {
    expect(measure([])).toMatchObject({ groups: 0, groupsWithGain: 0, groupsWithBoth: 0, ndcg: Number.NaN });
    expect(measure([{ score: 0, label: 1, group: 0 }])).toMatchObject({ groups: 1, ndcg: 1, recall: 1, mrr: 1 });
  });

  test("labels as large as a label can be are no overflow", () => {
    const large = [1, 5000, 3e38, 2].map((label, i) => ({ score: i, label, group: 0 }));
    const { ndcg } = measure(large);
    expect(ndcg).toBeCloseTo(1 / Math.log2(3), 12); // the largest, second of four, is worth all
  });

  test.each([
    ["k: expected a whole number >= 1, got 0", [1], [1], 1, { k: 0 }],
    ["k: expected a whole number >= 1, got 2.5", [1], [1], 1, { k: 2.5 }],
    ["scores: expected one for each of 2 rows, got 1", [1], [1, 0], 2, {}],
    ["labels: expected one for each of 2 rows, got 1", [1, 2], [1], 2, {}],
    ["scores: expected numbers, found NaN in row 2", [1, Number.NaN], [1, 0], 2, {}],
    ["labels: expected numbers, found NaN in row 1", [1, 2], [Number.NaN, 0], 2, {}],
  ])("refuses: %s", (message, scores, labels, count, options) => {
    const groups = groupsOf(Array(count).fill(0));
    expect(() => rankingMetrics(Float32Array.from(scores), Float32Array.from(labels), groups, options)).toThrow(
      expect.objectContaining({ code: "IFM_USAGE", message }),
    );
  });
});
