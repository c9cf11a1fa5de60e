import type { Groups } from "../data/groups.js";
import { areaUnderCurve } from "./auc.js";

/**
 * GAUC: the AUC within each group, averaged over the groups with weights ∝ their rows, as Zhou et al. 2018 ("Deep
 * interest network", their impressions). Ties count half. Groups of one class only have no AUC and no weight.
 * O(N log N).
 *
 * @param scores f32[N]
 * @param labels f32[N]; those above `middle` are positive
 * @returns the GAUC, NaN when no group has both classes, and the number of groups that have
 */
export function groupedAuc(
  scores: Float32Array,
  labels: Float32Array,
  { count, of }: Groups,
  middle: number,
): { gauc: number; groups: number } {
  // A counting sort: the positives of group g are bucket 2g, its negatives bucket 2g + 1.
  const bucketOf = (row: number) => 2 * of[row]! + Number(!(labels[row]! > middle));
  const next = new Uint32Array(2 * count + 1);
  for (let r = 0; r < of.length; r++) next[bucketOf(r) + 1]!++;
  for (let b = 0; b < 2 * count; b++) next[b + 1]! += next[b]!;
  const sorted = new Float32Array(of.length);
  for (let r = 0; r < of.length; r++) sorted[next[bucketOf(r)]!++] = scores[r]!;

  // Every bucket has now ended where its next row would have gone.
  let sum = 0;
  let weights = 0;
  let groups = 0;
  for (let g = 0, begin = 0; g < count; g++) {
    const negatives = next[2 * g]!;
    const end = next[2 * g + 1]!;
    if (begin < negatives && negatives < end) {
      sum += (end - begin) * areaUnderCurve(sorted.subarray(begin, negatives), sorted.subarray(negatives, end));
      weights += end - begin;
      groups++;
    }
    begin = end;
  }
  return { gauc: sum / weights, groups };
}
