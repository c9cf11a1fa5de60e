/*
 * The kernels of dropout: masks, and those of products of pairs, of a block that shares them and of a row; see cases.ts.
 */
import { KEEP_ALL, MODEL } from "../../src/wasm/abi.js";
import { exactly, UNTOUCHED } from "./compare.js";
import { dropoutMask, firstWords, keepThreshold, MASK_KEYS, randomKey, STREAM_PRODUCTS } from "./dropout.js";
import { inOut, input, output, outputU8, outputU32 } from "./guards.js";
import { kernelCase } from "./kernel-case.js";
import type { Random } from "./random.js";
import { cross, KERNEL_FACTORS, pad4, sweep } from "./sweep.js";
import { summed } from "./table-cases.js";

const pad16 = (size: number): number => Math.ceil(size / 16) * 16;

export const KEEPS = [1, 0.9, 0.5, 0.1, 1e-9] as const;

const dropoutMasks = kernelCase({
  kernel: "dropoutMasks",
  tolerance: 0,
  shapes: cross({ keep: KEEPS, blocks: [1, 2, 9, 64], count: [1, 2, 5], key: [0, 7, 0xfffffff0] }),
  buffers: ({ blocks, count }) => ({ out: outputU8(16 * blocks * count) }),
  call: ({ kernels, at, shape: { keep, blocks, count, key } }) =>
    kernels.dropoutMasks(at.out, key, count, blocks, keepThreshold(keep)),
  twin: (_, { keep, blocks, count, key }) => {
    const masks = Array.from({ length: count }, (_, p) =>
      dropoutMask(key + MASK_KEYS * p, 16 * blocks, keepThreshold(keep)),
    );
    return { out: exactly(masks.flat().map((kept) => 255 * kept)) };
  },
});

const dropoutCase = kernelCase({
  kernel: "dropout",
  tolerance: 0, // every bit: keep = 1 is the identity, and the scale is one multiplication
  shapes: cross({ lanes: [4, 8, 12, 16, 20, 64, 256], keep: KEEPS, inPlace: [true, false] }),
  buffers: ({ lanes, inPlace }, random) => ({
    out: output(inPlace ? 0 : lanes),
    x: inPlace ? inOut(random.values(lanes)) : input(random.values(lanes)),
  }),
  call: ({ kernels, at, shape: { lanes, keep, inPlace } }) =>
    kernels.dropout(inPlace ? at.x : at.out, at.x, lanes, lanes, keepThreshold(keep)),
  twin: ({ x }, { lanes, keep, inPlace }) => {
    const threshold = keepThreshold(keep);
    const scale = Math.fround(KEEP_ALL / threshold);
    const mask = dropoutMask(lanes, lanes, threshold);
    const dropped = exactly(Array.from(x, (value, i) => (mask[i] ? Math.fround(value * scale) : 0)));
    return inPlace ? { x: dropped, out: exactly([]) } : { out: dropped };
  },
});

// Products of pairs

/** Lanes of a word of bits, and of C_p at a time. */
const WORD_LANES = 128;
const MASKED_LANES = 64;
const words = (K: number): number => Math.ceil(pad4(K) / WORD_LANES);

/** Of AFM all pairs of a row share one mask. */
const MODELS = ["afm", "ifm"] as const;
type Model = (typeof MODELS)[number];
const maskLanes = (K: number, model: Model): number => (model === "afm" ? 0 : pad16(K));

/** Bytes of masks: of AFM those of the rows, else bits of the occurrences. */
const maskBytes = (K: number, model: Model, rows: number, occurrences: number): number =>
  model === "afm" ? pad16(K) * rows : 16 * words(K) * occurrences;

/** Bit of an occurrence's mask that is that of a lane. */
const bitOf = (place: number, lane: number, K: number): [byte: number, bit: number] => [
  16 * (words(K) * place + Math.floor(lane / WORD_LANES)) + (lane % 16),
  7 - (Math.floor(lane / 16) % 8),
];

const SEED = 77;
const STEP = 5;
const FIRST_ROW = 64;
const PAIRS = 14;

const linkPairs = kernelCase({
  kernel: "linkPairs",
  tolerance: 0,
  shapes: sweep({ K: [1, 4, 5, 64, 256], model: MODELS }, { rows: [1, 2, 5], most: [1, 4, 5, 12] }),
  buffers: ({ rows, most }, random) => {
    // Of each row: how many pairs in the second word, then scores, numbers of the pairs.
    const row = () => {
      const P = random.int(most + 1);
      const numbers = random.permutation(PAIRS - 1).slice(0, P);
      const scores = Array.from({ length: pad4(most) }, () => 2 ** 31 + random.int(1000));
      return [7, P, ...scores, ...Array.from(scores, (_, p) => (p < P ? numbers[p]! + 1 : 0))];
    };
    return {
      block: inOut(Uint32Array.from(Array.from({ length: rows }, row).flat())),
      first: outputU32(PAIRS + 1),
      list: inOut(Uint32Array.from({ length: 8 * rows * most }, () => random.int(1000))),
    };
  },
  desc: ({ K, model, most }, at) => ({
    model: MODEL[model],
    Kp: pad4(K),
    seed: SEED,
    step: STEP,
    sShared: 0,
    sharedRow: 4 * (2 + 2 * pad4(most)),
    sState: 0,
    sScores: 8,
    sRowPairs: 4 * (2 + pad4(most)),
    sFirst: at.first - at.block,
    sOccurrences: at.list - at.block,
  }),
  call: ({ kernels, at, shape: { rows } }) => kernels.linkPairs(at.desc, FIRST_ROW, rows, at.block, PAIRS),
  twin: ({ block, list }, { K, model, rows, most }) => {
    const Pp = pad4(most);
    const length = 2 + 2 * Pp;
    const expected = new Array<number>(block.length).fill(UNTOUCHED);
    const lists = Array.from({ length: PAIRS }, (): number[][] => []);
    for (let r = 0; r < rows; r++) {
      const [from, P] = [r * length, block[r * length + 1]!];
      const key = randomKey(SEED, STREAM_PRODUCTS, STEP, FIRST_ROW + r);
      for (let p = P; p < pad4(P); p++) expected[from + 2 + p] = 0;
      for (let p = 0; p < P; p++) {
        const pair = block[from + 2 + Pp + p]!;
        const mask = model === "afm" ? [r * pad16(K)] : [];
        const hash = model === "afm" ? [] : firstWords(key + MASK_KEYS * p);
        const entry = [4 * (from + 2 + p), pair, ...mask];
        lists[pair]!.push(Array.from({ length: 8 }, (_, i) => entry[i] ?? hash[i - 4] ?? UNTOUCHED));
      }
    }
    const found = lists.flat(2);
    let before = 0;
    const first = [0, ...lists.map(({ length: own }) => (before += own))];
    return {
      block: exactly(expected),
      first: exactly(first),
      list: exactly(Array.from(list, (_, i) => found[i] ?? UNTOUCHED)),
    };
  },
});

const occurrence = (at: number, pair: number, mask: number) => [at, pair, mask, 0, ...firstWords(mask)];

const OCCURRENCES = 9;
const ROWS = 3;

/**
 * Pairs `from` … of a list, each with some occurrences, others before and behind.
 *
 * @param maskOf where the mask is, or its key: what the kernel does not read tells it to the twin
 */
function occurrences(random: Random, from: number, count: number, maskOf: () => number) {
  const pairs = Array.from({ length: OCCURRENCES }, () => random.int(from + count + 2)).sort((a, b) => a - b);
  const places = random.permutation(OCCURRENCES);
  return {
    first: input(Uint32Array.from({ length: from + count + 3 }, (_, pair) => pairs.filter((p) => p < pair).length)),
    list: input(Uint32Array.from(pairs.flatMap((pair, i) => occurrence(4 * places[i]!, pair, maskOf())))),
  };
}

/** Those of the pairs, with their places in the list. */
const listed = (list: Uint32Array, from: number, count: number) =>
  Array.from({ length: OCCURRENCES }, (_, i) => ({
    i,
    at: list[8 * i]! / 4,
    pair: list[8 * i + 1]! - from,
    mask: list[8 * i + 2]!,
  })).filter(({ pair }) => pair >= 0 && pair < count);

const maskedScores = kernelCase({
  kernel: "maskedScores",
  tolerance: 1e-6,
  shapes: sweep(
    { K: [...KERNEL_FACTORS, 130, 160], model: MODELS },
    { keep: [0.1, 0.6, 0.99], count: [1, 4, 12], from: [0, 3] },
  ),
  buffers: ({ K, model, count, from }, random) => {
    const masks = maskBytes(K, model, ROWS, OCCURRENCES);
    return {
      ...occurrences(random, from, count, () => (model === "afm" ? pad16(K) * random.int(ROWS) : random.int(2 ** 32))),
      scores: inOut(random.values(OCCURRENCES)),
      G: input(random.rows(count, K, pad4(K))),
      masks: inOut(Uint8Array.from({ length: masks }, () => 255 * random.int(2))),
    };
  },
  desc: ({ K, model, keep }, at) => ({
    model: MODEL[model],
    Kp: pad4(K),
    keepProducts: keepThreshold(keep),
    sFirst: at.first - at.scores,
    sOccurrences: at.list - at.scores,
    sMasks: at.masks - at.scores,
  }),
  call: ({ kernels, at, shape: { count, from } }) =>
    kernels.maskedScores(at.desc, at.scores, at.first + 4 * from, count, at.G),
  twin: ({ list, G, scores, masks }, { K, model, keep, count, from }) => {
    const threshold = keepThreshold(keep);
    const bits = new Array<number>(masks.length).fill(UNTOUCHED);
    const terms = Array.from(scores, () => [UNTOUCHED]);
    for (const { i, at, pair, mask } of listed(list, from, count)) {
      const kept =
        model === "afm"
          ? Array.from({ length: K }, (_, k) => masks[mask + k]! & 1)
          : dropoutMask(mask, pad16(K), threshold);
      terms[at] = Array.from({ length: K }, (_, k) => (65536 / threshold) * kept[k]! * G[pair * pad4(K) + k]!);
      if (model === "afm") continue;
      bits.fill(0, bitOf(i, 0, K)[0], bitOf(i + 1, 0, K)[0]);
      for (const [lane, keeps] of kept.entries()) {
        const [byte, bit] = bitOf(i, lane, K);
        bits[byte]! += keeps << bit;
      }
    }
    return { scores: summed(terms), masks: exactly(bits) };
  },
});

/** Masks of a row's pairs. */
const rowMasks = (random: Random, K: number, model: Model, count: number): Uint8Array =>
  Uint8Array.from({ length: maskLanes(K, model) * count || pad16(K) }, () => 255 * random.int(2));

const maskedRowScores = kernelCase({
  kernel: "maskedRowScores",
  tolerance: 1e-6,
  shapes: sweep({ K: KERNEL_FACTORS, model: MODELS }, { keep: [0.1, 0.6, 0.99], count: [1, 4, 12] }),
  buffers: ({ K, model, count }, random) => ({
    scores: output(count),
    G: input(random.rows(count, K, pad4(K))),
    mask: input(rowMasks(random, K, model, count)),
  }),
  desc: ({ K, model, keep }) => ({ model: MODEL[model], Kp: pad4(K), keepProducts: keepThreshold(keep) }),
  call: ({ kernels, at, shape: { count } }) => kernels.maskedRowScores(at.scores, at.desc, at.G, at.mask, count),
  twin: ({ scores, G, mask }, { K, model, keep }) => ({
    scores: summed(
      Array.from(scores, (_, p) =>
        Array.from({ length: K }, (_, k) => {
          const kept = mask[p * maskLanes(K, model) + k]! & 1;
          return (65536 / keepThreshold(keep)) * kept * G[p * pad4(K) + k]!;
        }),
      ),
    ),
  }),
});

const maskedGradients = kernelCase({
  kernel: "maskedGradients",
  tolerance: 1e-6,
  shapes: sweep(
    { K: [...KERNEL_FACTORS, 130, 160], k: [0, 64, 128, 192], model: MODELS },
    { count: [1, 4, 12], from: [0, 3] },
  ).filter(({ K, k }) => k < pad4(K)),
  buffers: ({ K, model, count, from }, random) => ({
    ...occurrences(random, from, count, () => (model === "afm" ? pad16(K) * random.int(ROWS) : 0)),
    dc: input(random.values(OCCURRENCES)),
    masks: input(
      Uint8Array.from({ length: maskBytes(K, model, ROWS, OCCURRENCES) }, () =>
        model === "afm" ? 255 * random.int(2) : random.int(256),
      ),
    ),
    C: output(MASKED_LANES * count),
  }),
  desc: ({ K, model }, at) => ({
    model: MODEL[model],
    Kp: pad4(K),
    sScores: 4,
    sDropped: 4,
    sFirst: at.first - at.dc,
    sOccurrences: at.list - at.dc,
    sMasks: at.masks - at.dc,
  }),
  call: ({ kernels, at, shape: { k, count, from } }) =>
    kernels.maskedGradients(at.C, at.desc, at.dc, at.first + 4 * from, count, k),
  twin: ({ list, dc, masks, C }, { K, k, model, count, from }) => {
    const terms = Array.from(C, (): number[] => []);
    for (const { i, at, pair, mask } of listed(list, from, count)) {
      for (let j = 0; j < Math.min(MASKED_LANES, pad16(pad4(K) - k)); j++) {
        const [byte, bit] = bitOf(i, k + j, K);
        const kept = model === "afm" ? masks[mask + k + j]! & 1 : (masks[byte]! >> bit) & 1;
        terms[MASKED_LANES * pair + j]!.push(kept * dc[at]!);
      }
    }
    return { C: summed(terms) };
  },
});

const maskedRowGradients = kernelCase({
  kernel: "maskedRowGradients",
  tolerance: 0,
  shapes: sweep({ K: KERNEL_FACTORS, model: MODELS }, { P: [1, 4, 5], from: [0, 16] }),
  buffers: ({ K, model, P }, random) => ({
    C: output(MASKED_LANES * P),
    dc: input(random.values(P)),
    mask: input(rowMasks(random, K, model, P)),
  }),
  desc: ({ K, model }) => ({ model: MODEL[model], Kp: pad4(K) }),
  call: ({ kernels, at, shape: { K, P, from } }) => {
    const { first, lanes } = someLanes(K, from);
    kernels.maskedRowGradients(at.C, at.desc, at.dc, at.mask + first, P, lanes);
  },
  twin: ({ C, dc, mask }, { K, model, from }) => {
    const { first, lanes } = someLanes(K, from);
    const value = (p: number, k: number) =>
      k < pad16(lanes) ? (mask[p * maskLanes(K, model) + first + k]! & 1) * dc[p]! : UNTOUCHED;
    return { C: exactly(Array.from(C, (_, i) => value(Math.floor(i / MASKED_LANES), i % MASKED_LANES))) };
  },
});

/** Lanes from the first on, no more than MASKED_LANES. */
function someLanes(K: number, from: number): { first: number; lanes: number } {
  const first = from < pad4(K) ? from : 0;
  return { first, lanes: Math.min(MASKED_LANES, pad4(K) - first) };
}

export const maskedCases = {
  dropoutMasks,
  dropout: dropoutCase,
  linkPairs,
  maskedScores,
  maskedRowScores,
  maskedGradients,
  maskedRowGradients,
};
