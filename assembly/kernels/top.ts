/*
 * The best of many scores: a heap of {score f32, index u32} whose root is the worst that is kept. Higher scores are better
 * and, of equal ones, lower indices. A score that is NaN is the lowest there is.
 */
const ENTRY: usize = 8;

@inline
function worse(score: f32, index: u32, than: usize): bool {
  const other = load<f32>(than);
  return score < other || (score == other && index > load<u32>(than, 4));
}

/** Puts an entry at the root of a heap of `size`, and lets it sink to where it belongs. */
function sink(heap: usize, size: u32, score: f32, index: u32): void {
  let at: u32 = 0;
  for (;;) {
    let child: u32 = 2 * at + 1;
    if (child >= size) break;
    let entry = heap + <usize>child * ENTRY;
    // The worse of the two.
    if (child + 1 < size && worse(load<f32>(entry + ENTRY), load<u32>(entry + ENTRY, 4), entry)) {
      child++;
      entry += ENTRY;
    }
    if (worse(score, index, entry)) break;
    store<u64>(heap + <usize>at * ENTRY, load<u64>(entry));
    at = child;
  }
  const place = heap + <usize>at * ENTRY;
  store<f32>(place, score);
  store<u32>(place, index, 4);
}

/** Puts an entry behind the last of a heap of `size`, and lets it rise. */
function rise(heap: usize, size: u32, score: f32, index: u32): void {
  let at = size;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const entry = heap + <usize>parent * ENTRY;
    if (!worse(score, index, entry)) break;
    store<u64>(heap + <usize>at * ENTRY, load<u64>(entry));
    at = parent;
  }
  const place = heap + <usize>at * ENTRY;
  store<f32>(place, score);
  store<u32>(place, index, 4);
}

/**
 * Keeps the best `most` of those that a heap has and of some scores.
 *
 * @param heap   in/out {f32, u32}[most]
 * @param size          entries that it has
 * @param scores in     f32[count]
 * @param first         index of the first of them
 * @returns entries that it has now
 */
export function topKeep(heap: usize, size: u32, most: u32, scores: usize, count: u32, first: u32): u32 {
  for (let i: u32 = 0; i < count; i++) {
    let score = load<f32>(scores + (<usize>i << 2));
    if (score != score) score = -Infinity;
    if (size < most) rise(heap, size++, score, first + i);
    else if (!worse(score, first + i, heap)) sink(heap, size, score, first + i);
  }
  return size;
}

/**
 * Sorts what a heap has, best first.
 *
 * @param heap in/out {f32, u32}[size]
 */
export function topSort(heap: usize, size: u32): void {
  for (let last = size; last > 1; ) {
    const end = heap + <usize>--last * ENTRY;
    const score = load<f32>(end), index = load<u32>(end, 4);
    store<u64>(end, load<u64>(heap));
    sink(heap, last, score, index);
  }
}
