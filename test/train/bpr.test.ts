import { describe, expect, test } from "vitest";
import { kernelBuild } from "#runtime";
import { type BprConfig, validateModelConfig, validateTrainConfig } from "../../src/config.js";
import type { Dataset } from "../../src/data/dataset.js";
import { pairsOf } from "../../src/train/pairs.js";
import { Session } from "../../src/wasm/session.js";
import type { RefRow } from "../reference/index.js";
import { parse } from "../support/data.js";
import { Random } from "../support/random.js";
import { digest, errorOf, train, weights } from "../support/train.js";

const USERS = 12;
const ITEMS = 20;

/** User u likes item i when both numbers are even or both odd; a third field with noise. */
const likes = (user: number, item: number) => user % 2 === item % 2;

function row(user: number, item: number, label: number, noise: number): RefRow {
  return { label, slots: [user, USERS + item, USERS + ITEMS + noise].map((feature) => ({ feature, value: 1 })) };
}

function rows(seed: number, count: number, low = 0, liked: "all" | "only" = "all"): RefRow[] {
  const random = new Random(seed);
  const found: RefRow[] = [];
  while (found.length < count) {
    const [user, item] = [random.int(USERS), random.int(ITEMS)];
    if (liked === "only" && !likes(user, item)) continue;
    found.push(row(user, item, likes(user, item) ? 1 : low, random.int(3)));
  }
  return found;
}

const all = { train: await parse(rows(1, 400)), validation: await parse(rows(2, 200)) };
const onlyLiked = {
  train: await parse(rows(3, 300, 0, "only")),
  validation: await parse(rows(4, 100, 0, "only")),
};

const LISTED = { groupBy: [0] };
const DRAWN = { groupBy: [0], itemFields: [1] };

/** The pairs of an epoch as the features of both rows. */
async function epochOf(data: Dataset, given: Partial<BprConfig>, epoch: number, shuffle = true, features = 35) {
  const config = validateModelConfig({ model: "fm", features, loss: "bpr" });
  const trained = validateTrainConfig({ bpr: given as BprConfig, seed: 5 }, "fm", "bpr");
  const pairs = pairsOf(data, config, trained.bpr, trained.seed, shuffle);
  const session = new Session(await kernelBuild("one"), config, data.maxSlots, {
    config: trained,
    data: pairs.data,
    visits: 2 * pairs.count,
  });
  const views = session.trainingRows();
  pairs.arrange(views, session.kernels, epoch);
  const slotsOf = (r: number) => [...views.features.subarray(pairs.data.rowPtr[r]!, pairs.data.rowPtr[r + 1]!)];
  const list = Array.from({ length: pairs.count }, (_, i) => ({
    liked: views.order[2 * i]!,
    other: views.order[2 * i + 1]!,
  }));
  return list.map(({ liked, other }) => ({ row: liked, other, liked: slotsOf(liked), against: slotsOf(other) }));
}

describe("listed pairs", () => {
  test("are of one group, the first with the higher label, each liked row as often as asked", async () => {
    const pairs = await epochOf(all.train, { ...LISTED, negatives: 3 }, 1);
    const { labels } = all.train;
    const times = new Map<number, number>();
    for (const pair of pairs) {
      expect(pair.liked[0]).toBe(pair.against[0]);
      expect(labels[pair.row]).toBeGreaterThan(labels[pair.other]!);
      times.set(pair.row, (times.get(pair.row) ?? 0) + 1);
    }
    const liked = [...labels.keys()].filter((r) => labels[r] === 1);
    expect([...times.keys()].sort((a, b) => a - b)).toEqual(liked);
    expect(new Set(times.values())).toEqual(new Set([3]));
  });

  test("compare graded labels, each row with all below it alike", async () => {
    const graded = [1, 2, 3, 3, 5].map((label, item) => row(0, item, label, 0));
    const alone = [4, 4].map((label, item) => row(1, item, label, 0));
    const data = await parse([...alone, ...graded]);
    const seen = new Map<string, number>();
    const pairs = await epochOf(data, { ...LISTED, negatives: 1000 }, 1);
    for (const { row: a, other } of pairs) seen.set(`${a}>${other}`, (seen.get(`${a}>${other}`) ?? 0) + 1);
    const expected = [
      [3, 2],
      [4, 2],
      [4, 3],
      [5, 2],
      [5, 3],
      [6, 2],
      [6, 3],
      [6, 4],
      [6, 5],
    ];
    expect([...seen.keys()].sort()).toEqual(expected.map(([a, b]) => `${a}>${b}`).sort());
    for (const [a, b] of expected) {
      const share = expected.filter(([first]) => first === a).length;
      const count = seen.get(`${a}>${b}`)!;
      // 1000 draws: 5 standard deviations of a binomial are below 80.
      expect(Math.abs(count - 1000 / share)).toBeLessThan(80);
    }
  });

  test("that there are none is said", async () => {
    const error = await errorOf(epochOf(onlyLiked.train, LISTED, 1));
    expect(error).toMatchObject({ code: "IFM_DATA" });
    expect(error.message).toContain("no two rows of a group differ in their labels");
  });
});

describe("drawn pairs", () => {
  test("are the liked row with an item that its group has not liked", async () => {
    const known = new Set<string>();
    const { rowPtr, features, rows: count } = onlyLiked.train;
    for (let r = 0; r < count; r++) known.add(`${features[rowPtr[r]!]} ${features[rowPtr[r]! + 1]}`);
    const pairs = await epochOf(onlyLiked.train, { ...DRAWN, negatives: 2 }, 1);
    expect(pairs).toHaveLength(2 * count);
    for (const { liked, against } of pairs) {
      expect(against[0]).toBe(liked[0]);
      expect(against[2]).toBe(liked[2]);
      expect(against[1]).not.toBe(liked[1]);
      expect(known).toContain(`${liked[0]} ${liked[1]}`);
      expect(known).not.toContain(`${against[0]} ${against[1]}`);
    }
    expect(new Set(pairs.map(({ against }) => against[1])).size).toBe(ITEMS);
  });

  test("items of several fields stay together", async () => {
    const kinds = rows(5, 200, 0, "only").map(({ label, slots }) => {
      const item = slots[1]!.feature;
      return { label, slots: [slots[0]!, slots[1]!, { feature: 40 + (item % 7), value: 1 + item }] };
    });
    const pairs = await epochOf(await parse(kinds), { groupBy: [0], itemFields: [1, 2] }, 1, true, 50);
    for (const { against } of pairs) expect(against[2]).toBe(40 + (against[1]! % 7));
  });

  test("features beyond the table become the one record that stays zero", async () => {
    const features = USERS + ITEMS - 3;
    const pairs = await epochOf(onlyLiked.train, DRAWN, 1, true, features);
    expect(Math.max(...pairs.flatMap(({ against }) => against))).toBe(features);
  });

  test("a group that has liked everything gets any item", async () => {
    const data = await parse(Array.from({ length: ITEMS }, (_, item) => row(0, item, 1, 0)));
    expect(await epochOf(data, DRAWN, 1)).toHaveLength(ITEMS);
  });

  test("one item only is refused", async () => {
    const data = await parse([row(0, 0, 1, 0), row(1, 0, 1, 0)]);
    expect((await errorOf(epochOf(data, DRAWN, 1))).message).toContain("every row has the same item");
  });

  test("rows without a label below are evaluated against drawn ones, the same in every epoch", async () => {
    const { epochs } = await train({
      model: { model: "fm", factors: 2, loss: "bpr" },
      train: { bpr: DRAWN, epochs: 2, lr: 1e-20 },
      data: onlyLiked,
    });
    // Ten drawn rows for each; weights of 0.01 say nothing.
    expect(epochs.map(({ validation }) => validation!.rows)).toEqual([1100, 1100]);
    expect(epochs[0]!.validation!.gauc).toBe(epochs[1]!.validation!.gauc);
    expect(Math.abs(epochs[0]!.validation!.gauc! - 0.5)).toBeLessThan(0.2);
  });
});

test.each([LISTED, DRAWN])("an epoch depends on its number and the seed alone: %o", async (bpr) => {
  const first = await epochOf(all.train, bpr, 1);
  expect(await epochOf(all.train, bpr, 1)).toEqual(first);
  const second = await epochOf(all.train, bpr, 2);
  expect(second.map((pair) => pair.row)).not.toEqual(first.map((pair) => pair.row));
  const inOrder = await epochOf(all.train, bpr, 1, false);
  expect(inOrder.map((pair) => pair.row)).toEqual(
    [...inOrder].map((pair) => pair.row).sort((a, b) => groupOrder(a, b, bpr)),
  );
  const key = (pair: { row: number; against: number[] }) => `${pair.row} ${pair.against}`;
  // Order does not change what is compared with what.
  expect(inOrder.map(key).sort()).toEqual(first.map(key).sort());
});

/** Without shuffling, listed pairs come group by group, drawn ones in file order. */
function groupOrder(a: number, b: number, bpr: Partial<BprConfig>): number {
  if (bpr.itemFields) return a - b;
  const order: number[] = [];
  const userOf = (r: number) => all.train.features[all.train.rowPtr[r]!]!;
  for (let r = 0; r < all.train.rows; r++) if (!order.includes(userOf(r))) order.push(userOf(r));
  return order.indexOf(userOf(a)) - order.indexOf(userOf(b)) || a - b;
}

describe.each(["fm", "afm", "ifm", "inn", "deepifm"] as const)("%s", (model) => {
  const shape = { model, factors: 8, attentionFactors: 4, fieldFactors: 4, hidden: [8], loss: "bpr" as const };

  test.each([
    { name: "listed", bpr: LISTED, data: all },
    { name: "drawn", bpr: DRAWN, data: onlyLiked },
  ])("learns a planted taste from $name rows", async ({ bpr, data }) => {
    const { model: trained, epochs } = await train({
      model: shape,
      train: { bpr, lr: 0.2, epochs: 60, batchSize: 50, earlyStop: 0 },
      data,
    });
    expect(epochs.at(-1)!.validation!.gauc).toBeGreaterThan(0.97);
    expect(epochs.at(-1)!.train.gauc).toBeGreaterThan(0.97);
    expect(epochs.at(-1)!.loss).toBeLessThan(epochs[0]!.loss / 4);
    // Rows of both labels that were seen in neither run.
    expect(trained.evaluate(all.validation).auc).toBeGreaterThan(0.9);
  });

  test("what both rows of every pair share keeps its bits: the bias, the user's linear weight", async () => {
    const { model: trained } = await train({
      model: shape,
      train: { bpr: LISTED, optimizer: "adam", lr: 0.01, epochs: 3, batchSize: 32, keep: [1, 1] },
      data: { train: all.train },
    });
    const { bias, feature_bias } = weights(trained);
    expect([...bias!]).toEqual([0]);
    expect([...feature_bias!.subarray(0, USERS)]).toEqual(new Array(USERS).fill(0));
    expect([...feature_bias!.subarray(USERS, USERS + ITEMS)].every((weight) => weight !== 0)).toBe(true);
  });

  test("twice the same bytes", async () => {
    const once = () =>
      train({
        model: shape,
        train: { bpr: { ...DRAWN, negatives: 2 }, epochs: 2, batchSize: 33, keep: [0.9, 0.8] },
        data: all,
      });
    expect(digest((await once()).model)).toBe(digest((await once()).model));
  });
});

test("early stopping keeps the epoch of the largest GAUC", async () => {
  const { epochs, end } = await train({
    model: { model: "fm", factors: 4, loss: "bpr" },
    train: { bpr: LISTED, lr: 0.05, epochs: 12, batchSize: 50 },
    data: all,
  });
  const values = epochs.map(({ validation }) => validation!.gauc!);
  expect(values[end.bestEpoch - 1]).toBe(Math.max(...values));
});

describe("refused", () => {
  const refusal = (bpr: Partial<BprConfig>, data = all) =>
    errorOf(train({ model: { model: "fm", factors: 2, loss: "bpr" }, train: { bpr, epochs: 1 }, data }));

  test.each([
    ["no group", {}, /^groupBy: the loss bpr needs the fields/],
    ["a field in both places", { groupBy: [0], itemFields: [0, 1] }, /^itemFields: a field cannot be both/],
    ["no negatives", { groupBy: [0], negatives: 0 }, /^negatives: expected a whole number from 1 to 1000/],
  ])("%s", async (_, bpr, message) => {
    expect(await refusal(bpr)).toMatchObject({ code: "IFM_USAGE", message: expect.stringMatching(message) });
  });

  test("a field beyond a row, with the line", async () => {
    expect(await refusal({ groupBy: [3] })).toMatchObject({
      code: "IFM_DATA",
      message: expect.stringContaining("row 1 has 3 slots, expected at least 4 to group by"),
    });
  });

  test("validation rows in which nothing can be ranked", async () => {
    const error = await refusal(LISTED, { train: all.train, validation: onlyLiked.validation });
    expect(error).toMatchObject({ code: "IFM_DATA" });
    expect(error.message).toContain("nothing can be ranked");
  });
});
