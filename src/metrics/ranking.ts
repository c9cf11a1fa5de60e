import type { Groups } from "../data/groups.js";
import { groupedAuc } from "./gauc.js";
import { checkCount, checkRows, classesOf, type TrainedLabels } from "./labels.js";

export interface RankingOptions extends TrainedLabels {
  /** Rows at the top of a group that NDCG, recall and hit rate look at; default 10. */
  k?: number | undefined;
}

/**
 * How well scores put the rows of each group in order. All but `gauc` are means over groups that count the same,
 * whatever their size; NaN when no group counts.
 *
 * Positive is a label above the middle of the range of the training labels. Tied rows stand in no order: each figure of
 * a group is its mean over all orders of the tied rows.
 */
export interface RankingMetrics {
  k: number;
  /** All groups. */
  groups: number;
  /** Groups that NDCG is of: a row has a gain. With two-valued labels the same as the next. */
  groupsWithGain: number;
  /** Groups that recall, hit rate and MRR are of. */
  groupsWithPositives: number;
  /** Groups that GAUC is of: a row is positive and another is not. */
  groupsWithBoth: number;
  /**
   * NDCG@k: Σ gain / log2(1 + rank) over the first k rows, relative to that of the best order. The gain of a row is 1 or
   * 0 (positive or not) with two-valued labels, else 2^label − 1, and 0 for labels below 0.
   */
  ndcg: number;
  /** Recall@k: share of the group's positives among its first k rows. */
  recall: number;
  /** Hit rate@k: share of the groups with a positive among the first k rows. */
  hitRate: number;
  /** MRR: 1 / rank of the group's first positive, over the whole group. */
  mrr: number;
  /** AUC within each group, weighted by rows; see `groupedAuc`. */
  gauc: number;
}

/** Rows of a group that share a score. */
interface Ties {
  /** Rows of the group with a higher score. */
  above: number;
  rows: number;
  positives: number;
  /** Sum of the gains of the rows. */
  gain: number;
}

/**
 * Ranking metrics of scored rows, by group. O(N log N). The order of the rows does not matter.
 *
 * @param scores f32[N], of any scale: only their order within a group counts
 * @param labels f32[N]
 * @param groups of the same rows, from `groupRows`
 * @throws IfmError IFM_USAGE when the arrays are of different rows or hold NaN, or `k` is no whole number ≥ 1
 */
export function rankingMetrics(
  scores: Float32Array,
  labels: Float32Array,
  groups: Groups,
  options: RankingOptions = {},
): RankingMetrics {
  const { k = 10 } = options;
  const { of, count } = groups;
  const rows = of.length;
  checkCount("k", k);
  checkRows("scores", scores, rows);
  checkRows("labels", labels, rows);

  const { middle, otherRow } = classesOf(labels, options);
  const discounts = discountsUpTo(Math.min(k, rows));
  // By labels where scores tie, so that sums over ties come out the same whatever the order of the rows.
  const byScore = rowNumbers(rows).sort(
    (a, b) => of[a]! - of[b]! || scores[b]! - scores[a]! || labels[b]! - labels[a]!,
  );
  const byLabel = rowNumbers(rows).sort((a, b) => of[a]! - of[b]! || labels[b]! - labels[a]!);

  const sums = { groupsWithGain: 0, groupsWithPositives: 0, ndcg: 0, recall: 0, hitRate: 0, mrr: 0 };
  for (let begin = 0, end = 0; begin < rows; begin = end) {
    const group = of[byScore[begin]!]!;
    while (end < rows && of[byScore[end]!] === group) end++;
    const isPositive = (row: number) => labels[row]! > middle;
    const top = Math.max(0, labels[byLabel[begin]!]!);
    const gainOf = otherRow < 0 ? (row: number) => Number(isPositive(row)) : (row: number) => gain(labels[row]!, top);
    const ranking = tiesOf(byScore.subarray(begin, end), scores, isPositive, gainOf);
    const best = dcg(tiesOf(byLabel.subarray(begin, end), labels, isPositive, gainOf), discounts);
    if (best > 0) {
      sums.groupsWithGain++;
      sums.ndcg += Math.min(1, dcg(ranking, discounts) / best); // above 1 by rounding only
    }
    const first = ranking.find(({ positives }) => positives > 0);
    if (first) {
      sums.groupsWithPositives++;
      sums.recall += recall(ranking, k);
      sums.hitRate += hitProbability(first, k);
      sums.mrr += reciprocalRank(first);
    }
  }
  const { groupsWithGain, groupsWithPositives } = sums;
  const { gauc, groups: groupsWithBoth } = groupedAuc(scores, labels, groups, middle);
  return {
    k,
    groups: count,
    groupsWithGain,
    groupsWithPositives,
    groupsWithBoth,
    ndcg: sums.ndcg / groupsWithGain,
    recall: sums.recall / groupsWithPositives,
    hitRate: sums.hitRate / groupsWithPositives,
    mrr: sums.mrr / groupsWithPositives,
    gauc,
  };
}

function rowNumbers(rows: number): Uint32Array {
  return Uint32Array.from({ length: rows }, (_, row) => row);
}

/** 2^label − 1, divided by 2^top so that no label is too large: NDCG is a ratio. */
function gain(label: number, top: number): number {
  return 2 ** (Math.max(0, label) - top) - 2 ** -top;
}

/** Entry r: Σ 1 / log2(1 + rank) over the ranks 1 … r. */
function discountsUpTo(k: number): Float64Array {
  const discounts = new Float64Array(k + 1);
  for (let rank = 1; rank <= k; rank++) discounts[rank] = discounts[rank - 1]! + 1 / Math.log2(1 + rank);
  return discounts;
}

/** Rows in falling order of `key`, which of them are equal. */
function tiesOf(
  rows: Uint32Array,
  key: Float32Array,
  isPositive: (row: number) => boolean,
  gainOf: (row: number) => number,
): Ties[] {
  const ties: Ties[] = [];
  let last: Ties = { above: 0, rows: 0, positives: 0, gain: 0 };
  rows.forEach((row, i) => {
    if (i === 0 || key[row] !== key[rows[i - 1]!]) {
      last = { above: i, rows: 0, positives: 0, gain: 0 };
      ties.push(last);
    }
    last.rows++;
    last.positives += Number(isPositive(row));
    last.gain += gainOf(row);
  });
  return ties;
}

/** Every tied row has each of the ties' ranks equally often (McSherry and Najork 2008). */
function dcg(ranking: readonly Ties[], discounts: Float64Array): number {
  const k = discounts.length - 1;
  let sum = 0;
  for (const { above, rows, gain } of ranking) {
    if (above >= k) break;
    sum += (gain / rows) * (discounts[Math.min(k, above + rows)]! - discounts[above]!);
  }
  return sum;
}

function recall(ranking: readonly Ties[], k: number): number {
  let found = 0;
  let all = 0;
  for (const { above, rows, positives } of ranking) {
    found += (positives * Math.max(0, Math.min(rows, k - above))) / rows;
    all += positives;
  }
  return found / all;
}

/** Probability that one of the ties' positives is among the first k rows: 1 − C(rows − positives, c) / C(rows, c). */
function hitProbability({ above, rows, positives }: Ties, k: number): number {
  let none = 1;
  for (let i = 0; i < Math.min(rows, k - above) && none > 0; i++)
    none *= Math.max(0, rows - positives - i) / (rows - i);
  return 1 - none;
}

/** Mean of 1 / rank of the first of the ties' positives, where no row above is positive. */
function reciprocalRank({ above, rows, positives }: Ties): number {
  let mean = 0;
  let probability = positives / rows; // that the j-th of the ties is the first positive
  for (let j = 1; j <= rows - positives + 1; j++) {
    mean += probability / (above + j);
    probability *= (rows - j - positives + 1) / (rows - j);
  }
  return mean;
}
