/**
 * Area under the ROC curve, exact: the share of (positive, negative) pairs in the right order, ties count half.
 * O(N log N). Sorts its arguments.
 *
 * @param positives scores of the positive rows
 * @param negatives scores of the negative rows
 * @returns NaN when one of them is empty
 */
export function areaUnderCurve(positives: Float32Array, negatives: Float32Array): number {
  positives.sort();
  negatives.sort();
  let below = 0; // negatives below the score in hand
  let upTo = 0; // negatives below or equal
  let twice = 0; // twice the sum, an exact integer below 2^53 for any data set that fits in memory
  for (const score of positives) {
    while (below < negatives.length && negatives[below]! < score) below++;
    if (upTo < below) upTo = below;
    while (upTo < negatives.length && negatives[upTo]! === score) upTo++;
    twice += below + upTo;
  }
  return twice / 2 / (positives.length * negatives.length);
}
