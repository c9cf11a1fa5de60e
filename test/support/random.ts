import { generator } from "../reference/index.js";

/** Seeded numbers for the tests. Values are f32 numbers, so that kernel and f64 twin start from the same. */
export class Random {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = generator(seed);
  }

  /** f32 in [low, high). */
  value(low = -1, high = 1): number {
    return Math.fround(low + (high - low) * this.#next());
  }

  /** Whole number in 0 … below - 1. */
  int(below: number): number {
    return Math.floor(this.#next() * below);
  }

  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.int(choices.length)]!;
  }

  /** `count` f32 numbers, all different, none 0: equal lanes would hide lanes that are swapped. */
  values(count: number, low = -1, high = 1): Float32Array {
    const seen = new Set<number>([0]);
    return Float32Array.from({ length: count }, () => {
      let value = 0;
      while (seen.has(value)) value = this.value(low, high);
      seen.add(value);
      return value;
    });
  }

  /** `rows` rows of `stride` numbers: the first `cols` of each are distinct values, the others are 0 (padding). */
  rows(rows: number, cols: number, stride: number, low = -1, high = 1): Float32Array {
    const out = new Float32Array(rows * stride);
    const values = this.values(rows * cols, low, high);
    for (let r = 0; r < rows; r++) out.set(values.subarray(r * cols, (r + 1) * cols), r * stride);
    return out;
  }

  /** 0 … count - 1 in some order. */
  permutation(count: number): number[] {
    const out = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [out[i], out[j]] = [out[j]!, out[i]!];
    }
    return out;
  }
}
