import type { Dataset } from "ifm-wasm/worker";

/** Which rows come first. */
export type Order = "highest" | "unsure" | "lowest" | "wrong" | "file";

/**
 * The first rows of an order. One pass with a heap of `most` places: to sort a million scores would hold the page up.
 *
 * @param target label of a row on the scale of the scores
 */
export function firstRows(scores: Float32Array, order: Order, most: number, target: (row: number) => number): number[] {
  if (order === "file") return Array.from({ length: Math.min(most, scores.length) }, (_, row) => row);
  const key: (row: number) => number = {
    highest: (row: number) => scores[row]!,
    unsure: (row: number) => -Math.abs(scores[row]! - 0.5),
    lowest: (row: number) => -scores[row]!,
    wrong: (row: number) => Math.abs(scores[row]! - target(row)),
  }[order];
  // The worst of those that are kept is on top.
  const heap: { row: number; key: number }[] = [];
  for (let row = 0; row < scores.length; row++) {
    const own = key(row);
    if (heap.length < most) {
      heap.push({ row, key: own });
      siftUp(heap);
    } else if (own > heap[0]!.key) {
      heap[0] = { row, key: own };
      siftDown(heap);
    }
  }
  return heap.sort((a, b) => b.key - a.key || a.row - b.row).map(({ row }) => row);
}

function siftUp(heap: { key: number }[]): void {
  for (let i = heap.length - 1; i > 0; ) {
    const parent = (i - 1) >> 1;
    if (heap[parent]!.key <= heap[i]!.key) return;
    [heap[parent], heap[i]] = [heap[i]!, heap[parent]!];
    i = parent;
  }
}

function siftDown(heap: { key: number }[]): void {
  for (let i = 0; ; ) {
    const left = 2 * i + 1;
    const right = left + 1;
    let least = i;
    if (left < heap.length && heap[left]!.key < heap[least]!.key) least = left;
    if (right < heap.length && heap[right]!.key < heap[least]!.key) least = right;
    if (least === i) return;
    [heap[least], heap[i]] = [heap[i]!, heap[least]!];
    i = least;
  }
}

/** Labels as probabilities: 1 for the higher, 0 for the other. */
export function asProbability({ labels, labelMin, labelMax }: Dataset): (row: number) => number {
  return (row) => Number(labels[row]! > (labelMin + labelMax) / 2);
}
