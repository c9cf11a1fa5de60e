import { describe, expect, test } from "vitest";
import { readModule } from "../support/memory.js";
import { lowerTail } from "../support/normal.js";

type Address = number;

/** Random functions of assembly/kernels/math-testing.ts. Results of u32 come back signed. */
interface RandomKernels {
  hash32Array(out: Address, x: Address, n: number): void;
  hash4Array(out: Address, x: Address, n: number): void;
  randomKey(seed: number, stream: number, step: number, row: number): number;
  randomKeepThreshold(keep: number): number;
  randomKeepScale(threshold: number): number;
  dropoutMasks(out: Address, key: number, count: number, blocks: number, threshold: number): void;
  normalArray(out: Address, n: number, key: number, first: bigint): void;
  fillNormalRows(out: Address, rows: number, cols: number, strideFloats: number, key: number, std: number): void;
  randomBelow(key: number, index: number, n: number): number;
  shuffleOrder(order: Address, n: number, key: number): void;
}

const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536 });
const abort = (): never => {
  throw new Error("a kernel's assertion failed");
};
const { exports } = new WebAssembly.Instance(readModule("build/kernels.wasm"), { env: { memory, abort } });
const kernels = exports as unknown as RandomKernels;

const IN = 1 << 20;
const OUT = 2 << 20;

function hashes(name: "hash32Array" | "hash4Array", x: Uint32Array): Uint32Array {
  new Uint32Array(memory.buffer, IN, x.length).set(x);
  kernels[name](OUT, IN, x.length);
  return new Uint32Array(memory.buffer, OUT, x.length).slice();
}

const key = (seed: number, stream = 0, step = 0, row = 0): number => kernels.randomKey(seed, stream, step, row) >>> 0;

/** 1 (keep) or 0 for lanes 0 … 16 blocks - 1 of `count` keys, 4 apart. */
function masks(rowKey: number, count: number, blocks: number, threshold: number): Int8Array {
  kernels.dropoutMasks(OUT, rowKey, count, blocks, threshold);
  const lanes = new Int8Array(memory.buffer, OUT, 16 * blocks * count).slice();
  for (let i = 0; i < lanes.length; i++) lanes[i] = -lanes[i]!;
  return lanes;
}

const mask = (rowKey: number, blocks: number, threshold: number): Int8Array => masks(rowKey, 1, blocks, threshold);

function normals(count: number, normalKey: number, first = 0n): Float64Array {
  const out = new Float64Array(count);
  for (let done = 0; done < count; done += 1 << 17) {
    const n = Math.min(1 << 17, count - done);
    kernels.normalArray(OUT, n, normalKey, first + BigInt(done));
    out.set(new Float64Array(memory.buffer, OUT, n), done);
  }
  return out;
}

const mean = (x: ArrayLike<number>, f = (value: number) => value): number => {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += f(x[i]!);
  return sum / x.length;
};

/** Pearson's correlation; of independent numbers it is about normal with deviation 1 / sqrt(n). */
function correlation(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const mx = mean(x);
  const my = mean(y);
  let xy = 0;
  let xx = 0;
  let yy = 0;
  for (let i = 0; i < x.length; i++) {
    xy += (x[i]! - mx) * (y[i]! - my);
    xx += (x[i]! - mx) ** 2;
    yy += (y[i]! - my) ** 2;
  }
  return xy / Math.sqrt(xx * yy);
}

describe("hash", () => {
  const x = Uint32Array.from({ length: 1 << 16 }, (_, i) => Math.imul(i, 0x9e3779b1) ^ (i << 20));

  test("known answers", () => {
    expect(Array.from(hashes("hash32Array", Uint32Array.of(0, 1, 2, 0x80000000, 0xffffffff, 123456789)))).toEqual([
      0, 2261973619, 229111015, 3770504306, 2578835075, 956453899,
    ]);
  });

  test("four lanes give the bits of one", () => {
    expect(hashes("hash4Array", x)).toEqual(hashes("hash32Array", x));
  });

  test("every input bit flips every output bit half of the time", () => {
    const counters = Uint32Array.from({ length: 1 << 14 }, (_, i) => i);
    const base = hashes("hash32Array", counters);
    const limit = 5.5 * Math.sqrt(counters.length / 4);
    for (let input = 0; input < 32; input++) {
      const flipped = hashes(
        "hash32Array",
        counters.map((value) => value ^ (1 << input)),
      );
      for (let output = 0; output < 32; output++) {
        let count = 0;
        for (let i = 0; i < base.length; i++) count += ((base[i]! ^ flipped[i]!) >>> output) & 1;
        expect(Math.abs(count - counters.length / 2), `bit ${input} on bit ${output}`).toBeLessThan(limit);
      }
    }
  });
});

describe("key", () => {
  test("known answers", () => {
    expect(key(0)).toBe(2139659342);
    expect(key(1, 2, 3, 4)).toBe(1518079529);
    expect(key(0xffffffff, 17, 123_456, 0xfffffffe)).toBe(2392127554);
  });

  test.each([0, 1, 2, 3])("different values of word %i never share a key", (place) => {
    const seen = new Set<number>();
    for (let i = 0; i < 65_536; i++) {
      const at: [number, number, number, number] = [7, 1, 2, 3];
      at[place] = i;
      seen.add(key(...at));
    }
    expect(seen.size).toBe(65_536);
  });

  test("the order of the words matters", () => {
    expect(new Set([key(1, 2, 3, 4), key(2, 1, 3, 4), key(1, 3, 2, 4), key(1, 2, 4, 3), key(4, 3, 2, 1)]).size).toBe(5);
  });
});

describe("dropout masks", () => {
  test.each([
    [1, 65_536],
    [2, 65_536],
    [0.5, 32_768],
    [0.8, 52_429],
    [0.9, 58_982],
    [0.99999, 65_535],
    [1 / 65_536, 1],
    [1e-9, 1],
    [0, 1],
  ])("threshold of keep %d is %i", (keep, threshold) => {
    expect(kernels.randomKeepThreshold(keep)).toBe(threshold);
    expect(kernels.randomKeepScale(threshold)).toBe(Math.fround(65_536 / threshold));
  });

  test("known answers", () => {
    expect(Array.from(mask(key(1, 2, 3, 4), 3, 32_768)).join("")).toBe(
      "100110001010110011100001110010010110011101101111",
    );
    expect(Array.from(mask(key(1, 2, 3, 4), 3, 52_429)).join("")).toBe(
      "100111011011110011111111111010111110111101101111",
    );
  });

  test("a lane is all ones or all zeros", () => {
    kernels.dropoutMasks(OUT, key(3), 100, 5, 30_000);
    expect(new Set(new Int8Array(memory.buffer, OUT, 8000))).toEqual(new Set([0, -1]));
  });

  test("a mask does not depend on how many are made, nor on its length", () => {
    expect(mask(key(5), 3, 40_000)).toEqual(mask(key(5), 100, 40_000).subarray(0, 48));
    expect(masks(key(5), 3, 5, 40_000).subarray(80, 160)).toEqual(mask(key(5) + 4, 5, 40_000));
  });

  test("a higher threshold keeps what a lower one kept", () => {
    let lower = masks(key(6), 1000, 2, 1);
    for (const threshold of [2, 255, 256, 257, 20_000, 20_001, 50_000, 65_279, 65_280, 65_281, 65_535, 65_536]) {
      const higher = masks(key(6), 1000, 2, threshold);
      expect(lower.every((kept, i) => kept <= higher[i]!)).toBe(true);
      lower = higher;
    }
  });

  test("keep 1 keeps all", () => {
    for (let seed = 0; seed < 8; seed++) expect(mean(masks(key(seed), 1 << 12, 9, 65_536))).toBe(1);
  });

  test.each([
    1, 100, 255, 256, 257, 6554, 19_661, 32_767, 32_768, 45_875, 52_429, 58_982, 65_000, 65_279, 65_281, 65_407, 65_535,
  ])("threshold %i keeps its share within 5 sigma", (threshold) => {
    const p = threshold / 65_536;
    for (const seed of [1, 2, 3]) {
      // Of lanes that share a word and so the low byte, one each.
      const kept = masks(key(seed), 1 << 16, 1, threshold);
      for (const lane of [0, 7, 10, 13]) {
        const of = kept.filter((_, i) => i % 16 === lane);
        const sigma = Math.sqrt((p * (1 - p)) / of.length);
        expect(Math.abs(mean(of) - p), `lane ${lane}`).toBeLessThan(5 * sigma);
      }
      const long = masks(key(seed), 1 << 12, 16, threshold);
      expect(Math.abs(mean(long) - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / long.length));
    }
  });

  test("each lane is kept by exactly `threshold` of 2^16 words, any two lanes by their product", () => {
    /** Rank over GF(2) of rows of 32 bits. */
    const rank = (rows: number[]): number => {
      let found = 0;
      for (const left = rows.slice(); left.length > 0; ) {
        const row = left.pop()!;
        if (row === 0) continue;
        found++;
        const bit = row & -row;
        for (let i = 0; i < left.length; i++) if (left[i]! & bit) left[i]! ^= row;
      }
      return found;
    };
    const byte = (map: number[], i: number): number[] => map.slice(8 * i, 8 * i + 8);
    // Rows of the matrix: which bits of h each bit of the result is the sum of.
    const h = Array.from({ length: 32 }, (_, bit) => 1 << bit);
    let x = h;
    for (let power = 1; power <= 1024; power++) {
      const y = x.map((row, bit) => (bit < 9 ? row : row ^ x[bit - 9]!));
      x = y.map((row, bit) => (bit + 11 > 31 ? row : row ^ y[bit + 11]!));
      for (let i = 0; i < 4; i++) {
        for (let j = 0; j < 4; j++)
          expect(rank([...byte(h, i), ...byte(x, j)]), `byte ${i}, A^${power} byte ${j}`).toBe(16);
      }
    }
  });

  test.each([6554, 32_768, 32_900, 58_982])(
    "threshold %i: lanes, and those of the next key, are independent",
    (threshold) => {
      const count = 1 << 13;
      const kept = masks(key(threshold), count + 1, 3, threshold);
      const lanes = Array.from({ length: 96 }, (_, lane) => {
        const x = new Int8Array(count);
        for (let at = 0; at < count; at++) x[at] = kept[48 * at + lane]!;
        return x;
      });
      for (let lane = 0; lane < 16; lane++) {
        for (let other = lane + 1; other < 96; other++) {
          const c = correlation(lanes[lane]!, lanes[other]!);
          expect(Math.abs(c), `lanes ${lane} and ${other}`).toBeLessThan(5 / Math.sqrt(count));
        }
      }
    },
  );

  test.each(["seed", "stream", "step", "row"])("neighbours in %s have independent masks", (word) => {
    const place = ["seed", "stream", "step", "row"].indexOf(word);
    const at = (value: number): Int8Array => {
      const words: [number, number, number, number] = [42, 3, 1000, 77];
      words[place] = value;
      return masks(key(...words), 32, 16, 45_875);
    };
    let sum = 0;
    for (let value = 0; value < 64; value++) {
      const c = correlation(at(value), at(value + 1)) * Math.sqrt(8192);
      expect(Math.abs(c)).toBeLessThan(5);
      sum += c * c;
    }
    // Chi-square with 64 degrees of freedom: mean 64, deviation 11.3.
    expect(sum).toBeGreaterThan(64 - 4 * 11.3);
    expect(sum).toBeLessThan(64 + 5 * 11.3);
  });

  test.each(["step", "row"])("one lane over all values of %s is random", (word) => {
    const count = 1 << 15;
    const lanes = Array.from({ length: 32 }, () => new Int8Array(count));
    for (let value = 0; value < count; value++) {
      const row = mask(word === "step" ? key(9, 1, value, 5) : key(9, 1, 5, value), 2, 32_768);
      for (let lane = 0; lane < 32; lane++) lanes[lane]![value] = row[lane]!;
    }
    for (const kept of lanes) {
      expect(Math.abs(mean(kept) - 0.5)).toBeLessThan(5 * Math.sqrt(0.25 / count));
      for (const lag of [1, 2, 3, 4, 8, 16, 256]) {
        const c = correlation(kept.subarray(lag), kept.subarray(0, count - lag));
        expect(Math.abs(c), `lag ${lag}`).toBeLessThan(5 / Math.sqrt(count));
      }
    }
  });
});

/** The mixer, and the probability whose quantile a normal number is. */
function hash32(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return (h ^ (h >>> 15)) >>> 0;
}

function probability(normalKey: number, index: number): number {
  const high = hash32(Math.floor(index / 2 ** 32) + normalKey);
  const a = hash32(((high ^ index) + 0x9e3779b9) >>> 0);
  const b = hash32(a + normalKey);
  return (b * 2 ** 20 + (a >>> 12) + 0.5) / 2 ** 52;
}

describe("normal numbers", () => {
  const z = normals(1_000_000, key(2024));

  test("known answers", () => {
    expect(Array.from(normals(4, key(1, 2, 3, 4)))).toEqual([
      0.3670164770120628, -0.21043691061223102, -0.03371581554356249, 0.871691706193334,
    ]);
    expect(Array.from(normals(2, key(1, 2, 3, 4), 2n ** 32n - 1n))).toEqual([0.27487544056574154, -0.6330268672741092]);
  });

  test("each is the quantile of its probability", () => {
    const normalKey = key(5);
    for (const first of [0, 2 ** 32 - 100, 5 * 2 ** 32]) {
      for (const [i, value] of normals(20_000, normalKey, BigInt(first)).entries()) {
        const p = probability(normalKey, first + i);
        const tail = Math.min(p, 1 - p);
        const error = Math.abs(lowerTail(p < 0.5 ? value : -value) / tail - 1);
        if (!(error < 1e-13)) expect.fail(`index ${first + i}: ${value} for ${p}, error ${error}`);
      }
    }
  });

  test("moments", () => {
    const n = z.length;
    const m = mean(z);
    const variance = mean(z, (value) => (value - m) ** 2);
    expect(Math.abs(m)).toBeLessThan(4 / Math.sqrt(n));
    expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
    expect(Math.abs(mean(z, (value) => (value - m) ** 3) / variance ** 1.5)).toBeLessThan(4 * Math.sqrt(6 / n));
    expect(Math.abs(mean(z, (value) => (value - m) ** 4) / variance ** 2 - 3)).toBeLessThan(4 * Math.sqrt(24 / n));
  });

  test("Kolmogorov-Smirnov distance", () => {
    const sorted = z.slice().sort();
    let distance = 0;
    for (let i = 0; i < sorted.length; i++) {
      const value = sorted[i]!;
      const p = value < 0 ? lowerTail(value) : 1 - lowerTail(-value);
      distance = Math.max(distance, Math.abs(p - i / sorted.length), Math.abs(p - (i + 1) / sorted.length));
    }
    // 0.1 % of good generators are beyond 1.95 / sqrt(n).
    expect(distance).toBeLessThan(1.95 / Math.sqrt(sorted.length));
  });

  test.each([1, 2, 3, 3.5, 4])("as many beyond ±%d as there should be", (border) => {
    const p = lowerTail(-border);
    const sigma = Math.sqrt(p * (1 - p) * z.length);
    expect(Math.abs(z.filter((value) => value < -border).length - p * z.length)).toBeLessThan(4 * sigma);
    expect(Math.abs(z.filter((value) => value > border).length - p * z.length)).toBeLessThan(4 * sigma);
  });

  test("neighbours, other keys and other high words of the index are independent", () => {
    const limit = 4.5 / Math.sqrt(100_000);
    const start = z.subarray(0, 100_000);
    for (const lag of [1, 2, 4, 8, 64]) {
      expect(Math.abs(correlation(start, z.subarray(lag, 100_000 + lag)))).toBeLessThan(limit);
    }
    for (const other of [key(2025), key(2024, 1), key(2024) + 1, key(2024) ^ 1]) {
      expect(Math.abs(correlation(start, normals(100_000, other)))).toBeLessThan(limit);
    }
    for (const first of [2n ** 32n, 2n ** 33n, 2n ** 40n]) {
      expect(Math.abs(correlation(start, normals(100_000, key(2024), first)))).toBeLessThan(limit);
    }
  });

  test.each([
    [1, 1, 4],
    [3, 4, 4],
    [5, 7, 8],
    [9, 10, 16],
    [0, 5, 8],
  ])("a table of %i rows, %i columns, stride %i: the stride changes no number, padding stays", (rows, cols, stride) => {
    const std = 0.01;
    const out = new Float32Array(memory.buffer, OUT, rows * stride + 16).fill(-7);
    kernels.fillNormalRows(OUT, rows, cols, stride, key(8), std);
    const got = out.slice();
    const want = normals(rows * cols, key(8));
    for (let i = 0; i < got.length; i++) {
      const r = Math.floor(i / stride);
      const c = i % stride;
      expect(got[i]).toBe(r < rows && c < cols ? Math.fround(std * want[r * cols + c]!) : -7);
    }
  });
});

test("below: each of n numbers about as often as the others", () => {
  for (const n of [1, 2, 3, 7, 100]) {
    const counts = new Float64Array(n);
    const draws = 200 * n;
    for (let i = 0; i < draws; i++) counts[kernels.randomBelow(key(n), i, n)]!++;
    // χ² has n - 1 degrees of freedom: mean n - 1, standard deviation √(2(n - 1)).
    const chi2 = counts.reduce((sum, count) => sum + (count - 200) ** 2 / 200, 0);
    expect(chi2).toBeLessThan(n - 1 + 4 * Math.sqrt(2 * n) + 4);
  }
  expect(kernels.randomBelow(key(1), 0, 2 ** 31)).not.toBe(kernels.randomBelow(key(2), 0, 2 ** 31));
});

describe("shuffle", () => {
  function shuffled(n: number, shuffleKey: number): Uint32Array {
    const order = new Uint32Array(memory.buffer, OUT, n + 1).fill(0xdeadbeef);
    for (let i = 0; i < n; i++) order[i] = i;
    kernels.shuffleOrder(OUT, n, shuffleKey);
    if (order[n] !== 0xdeadbeef) expect.fail("wrote beyond the end");
    return order.slice(0, n);
  }

  test("known answer", () => {
    expect(Array.from(shuffled(8, key(1, 2, 3, 4)))).toEqual([6, 0, 7, 1, 4, 3, 5, 2]);
  });

  test.each([0, 1, 2, 3, 4, 5, 100, 10_007])("of %i numbers is a permutation", (n) => {
    expect(shuffled(n, key(n)).sort()).toEqual(Uint32Array.from({ length: n }, (_, i) => i));
  });

  test("differs by key, and is the same for the same key", () => {
    expect(shuffled(100, key(1))).not.toEqual(shuffled(100, key(2)));
    expect(shuffled(100, key(1))).toEqual(shuffled(100, key(1)));
  });

  test.each(["seed", "step", "plain number"])("all 24 orders of 4 are as frequent, key by %s", (by) => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 48_000; i++) {
      const order = shuffled(4, by === "seed" ? key(i) : by === "step" ? key(1, 1, i) : i).join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    let chiSquare = 0;
    for (const count of counts.values()) chiSquare += (count - 2000) ** 2 / 2000;
    // 23 degrees of freedom: 0.1 % of fair shuffles are beyond 49.7.
    expect(chiSquare).toBeLessThan(49.7);
  });

  test("every number comes to every place", () => {
    const n = 16;
    const counts = new Uint32Array(n * n);
    const rounds = 16_000;
    for (let i = 0; i < rounds; i++)
      for (const [place, value] of shuffled(n, key(i)).entries()) counts[n * place + value]!++;
    const expected = rounds / n;
    // Each is within 5 deviations of 1000; all together have (n-1)^2 = 225 degrees of freedom, deviation 21.2.
    for (const count of counts) expect(Math.abs(count - expected)).toBeLessThan(5 * Math.sqrt(expected));
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    expect(chiSquare).toBeLessThan(225 + 4 * 21.2);
  });
});
