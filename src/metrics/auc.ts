/**
 * Area under the ROC curve, exact: the share of (positive, negative) pairs in the right order, ties count half.
 * O(N log N). Sorts its arguments.
 *
 * @param positives scores of the positive rows
 * @param negatives scores of the negative rows
 * @returns NaN when one of them is empty
 */
export function areaUnderCurve(positives: Float32Array, negatives: Float32Array): number {
  sortScores(positives);
  sortScores(negatives);
  let below = 0; // negatives below the score in hand
  let upTo = 0; // negatives below or equal
  let twice = 0; // twice the sum, an exact integer below 2^53 for any data set that fits in memory
  // By index: `for … of` an array of numbers takes twice as long (Node 20).
  for (let p = 0; p < positives.length; p++) {
    const score = positives[p]!;
    while (below < negatives.length && negatives[below]! < score) below++;
    if (upTo < below) upTo = below;
    while (upTo < negatives.length && negatives[upTo]! === score) upTo++;
    twice += below + upTo;
  }
  return twice / 2 / (positives.length * negatives.length);
}

/** Fewer scores are sorted by the engine. */
const FEW = 512;

/**
 * Sorts as `scores.sort()` does, NaN last: by digits of 11 bits, from the lowest on. The engine compares pairs: 65,536 scores
 * take it 5 times as long (Node 20).
 */
function sortScores(scores: Float32Array): void {
  const count = scores.length;
  if (count < FEW) {
    scores.sort();
    return;
  }
  let from: Uint32Array = new Uint32Array(scores.buffer, scores.byteOffset, count);
  let to: Uint32Array = new Uint32Array(count);
  const starts = new Uint32Array(3 * 2048);
  for (let i = 0; i < count; i++) {
    const bits = from[i]!;
    // As unsigned numbers these have the order of the scores.
    const key = (bits << 1) >>> 0 > 0xff000000 ? 0xffffffff : (bits ^ ((bits >> 31) | 0x80000000)) >>> 0;
    from[i] = key;
    starts[key & 2047]!++;
    starts[2048 + ((key >>> 11) & 2047)]!++;
    starts[4096 + (key >>> 22)]!++;
  }
  for (let digit = 0; digit < 3; digit++) {
    const of = starts.subarray(2048 * digit, 2048 * (digit + 1));
    for (let value = 0, sum = 0; value < 2048; value++) {
      const own = of[value]!;
      of[value] = sum;
      sum += own;
    }
    for (let i = 0; i < count; i++) {
      const key = from[i]!;
      to[of[(key >>> (11 * digit)) & 2047]!++] = key;
    }
    [from, to] = [to, from];
  }
  // Three passes: the keys lie in the other array.
  for (let i = 0; i < count; i++) {
    const key = from[i]!;
    to[i] = key ^ (key >>> 31 === 1 ? 0x80000000 : 0xffffffff);
  }
}
