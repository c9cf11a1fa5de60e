/*
 * The kernels of dropout: masks, and those of products of pairs, of a block that shares them and of a row; see cases.ts.
 */
import { KEEP_ALL, MODEL } from "../../src/wasm/abi.js";
import { exactly, UNTOUCHED } from "./compare.js";
import { dropoutMask, keepThreshold, MASK_KEYS, randomKey, STREAM_PRODUCTS } from "./dropout.js";
import { inOut, input, output, outputI16, outputU8, outputU32 } from "./guards.js";
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
  buffers: ({ blocks, count }) => ({ out: outputI16(16 * blocks * count) }),
  call: ({ kernels, at, shape: { keep, blocks, count, key } }) =>
    kernels.dropoutMasks(at.out, key, count, blocks, keepThreshold(keep)),
  twin: (_, { keep, blocks, count, key }) => {
    const masks = Array.from({ length: count }, (_, p) =>
      dropoutMask(key + MASK_KEYS * p, 16 * blocks, keepThreshold(keep)),
    );
    return { out: exactly(masks.flat().map((kept) => -kept)) };
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

/** The scratch begins so many bytes before what occurrences are named by: offset 0 names none. */
const BEFORE = 16;

/** Of AFM all pairs of a row share one mask. */
const MODELS = ["afm", "ifm"] as const;
const maskLanes = (K: number, model: (typeof MODELS)[number]): number => (model === "afm" ? 0 : pad16(K));

const SEED = 77;
const STEP = 5;
const FIRST_ROW = 64;
const PAIRS = 14;

const linkPairs = kernelCase({
  kernel: "linkPairs",
  tolerance: 0,
  shapes: sweep({ K: [1, 4, 5, 64, 256], model: MODELS }, { rows: [1, 2, 5], most: [1, 4, 5, 12] }),
  buffers: ({ rows, most }, random) => {
    // Of each row: how many pairs in the second word, then keys, numbers of the pairs, next occurrences.
    const row = () => {
      const P = random.int(most + 1);
      const numbers = random.permutation(PAIRS - 1).slice(0, P);
      const fill = (length: number) => Array.from({ length }, () => 2 ** 31 + random.int(1000));
      const list = Array.from({ length: pad4(most) }, (_, p) => (p < P ? numbers[p]! + 1 : 0));
      return [7, P, ...fill(pad4(most)), ...list, ...fill(pad4(most))];
    };
    return {
      block: inOut(Uint32Array.from(Array.from({ length: rows }, row).flat())),
      first: outputU32(PAIRS),
    };
  },
  desc: ({ K, model, most }, at) => ({
    model: MODEL[model],
    Kp: pad4(K),
    seed: SEED,
    step: STEP,
    sShared: BEFORE,
    sharedRow: 4 * (2 + 3 * pad4(most)),
    sState: 0,
    sScores: 8,
    sRowPairs: 4 * (2 + pad4(most)),
    sNext: 4 * (2 + 2 * pad4(most)),
    sFirst: BEFORE + at.first - at.block,
  }),
  call: ({ kernels, at, shape: { rows } }) => kernels.linkPairs(at.desc, FIRST_ROW, rows, at.block - BEFORE, PAIRS),
  twin: ({ block }, { model, rows, most }) => {
    const Pp = pad4(most);
    const length = 2 + 3 * Pp;
    const expected = new Array<number>(block.length).fill(UNTOUCHED);
    const lists = Array.from({ length: PAIRS }, (): number[] => []);
    for (let r = 0; r < rows; r++) {
      const [from, P] = [r * length, block[r * length + 1]!];
      const key = randomKey(SEED, STREAM_PRODUCTS, STEP, FIRST_ROW + r);
      for (let p = 0; p < pad4(P); p++)
        expected[from + 2 + p] = p < P ? (key + (model === "afm" ? 0 : MASK_KEYS * p)) >>> 0 : 0;
      for (let p = 0; p < P; p++) lists[block[from + 2 + Pp + p]!]!.push(from + 2 + p);
    }
    const nameOf = (word: number | undefined) => (word === undefined ? 0 : BEFORE + 4 * word);
    for (const list of lists) {
      for (const [i, word] of list.entries()) expected[word + 2 * Pp] = nameOf(list[i + 1]);
    }
    return { block: exactly(expected), first: exactly(lists.map(([word]) => nameOf(word))) };
  },
});

const OCCURRENCES = 9;

/** Occurrences of some pairs: of each the first, and of each occurrence the next. */
function occurrences(random: Random, count: number) {
  const lists = Array.from({ length: count }, (): number[] => []);
  for (let i = 0; i < OCCURRENCES; i++) random.pick(lists).push(BEFORE + 4 * i);
  const next = new Uint32Array(OCCURRENCES);
  for (const list of lists) {
    for (const [i, at] of list.entries()) next[(at - BEFORE) / 4] = list[i + 1] ?? 0;
  }
  return { first: input(Uint32Array.from(lists, ([at]) => at ?? 0)), next: input(next) };
}

/** Pairs and their occurrences, in the order in which their masks lie. */
function listed(first: Uint32Array, next: Uint32Array): { pair: number; i: number }[] {
  return Array.from(first, (head, pair) => {
    const list: { pair: number; i: number }[] = [];
    for (let at = head; at !== 0; at = next[list.at(-1)!.i]!) list.push({ pair, i: (at - BEFORE) / 4 });
    return list;
  }).flat();
}

const maskedScores = kernelCase({
  kernel: "maskedScores",
  tolerance: 1e-6,
  shapes: sweep({ K: [...KERNEL_FACTORS, 130, 160] }, { keep: [0.1, 0.6, 0.99], count: [1, 4, 12] }),
  buffers: ({ K, count }, random) => {
    const keys = Uint32Array.from({ length: OCCURRENCES }, () => random.int(2 ** 32));
    return {
      ...occurrences(random, count),
      keys: input(keys),
      scores: inOut(new Float32Array(keys.slice().buffer)),
      G: input(random.rows(count, K, pad4(K))),
      masks: outputU8(16 * words(K) * OCCURRENCES),
    };
  },
  desc: ({ K, keep }, at) => ({
    Kp: pad4(K),
    keepProducts: keepThreshold(keep),
    sScores: 0,
    sNext: at.next - at.scores,
  }),
  call: ({ kernels, at, shape: { count } }) =>
    kernels.maskedScores(at.desc, at.scores - BEFORE, at.first, count, at.G, at.masks) - at.masks,
  twin: ({ first, next, keys, G, masks }, { K, keep }) => {
    const threshold = keepThreshold(keep);
    const bits = new Array<number>(masks.length).fill(0);
    const terms: number[][] = [];
    listed(first, next).forEach(({ pair, i }, place) => {
      const kept = dropoutMask(keys[i]!, pad16(K), threshold);
      terms[i] = Array.from({ length: K }, (_, k) => (kept[k] ? (65536 / threshold) * G[pair * pad4(K) + k]! : 0));
      kept.forEach((keeps, lane) => {
        const [word, bit] = [Math.floor(lane / WORD_LANES), 7 - (Math.floor(lane / 16) % 8)];
        bits[16 * (words(K) * place + word) + (lane % 16)]! += keeps << bit;
      });
    });
    return { scores: summed(terms), masks: exactly(bits), returns: exactly([masks.length]) };
  },
});

const maskedRowScores = kernelCase({
  kernel: "maskedRowScores",
  tolerance: 1e-6,
  shapes: sweep({ K: KERNEL_FACTORS, model: MODELS }, { keep: [0.1, 0.6, 0.99], count: [1, 4, 12] }),
  buffers: ({ K, model, count }, random) => ({
    scores: output(count),
    G: input(random.rows(count, K, pad4(K))),
    mask: input(Int16Array.from({ length: maskLanes(K, model) * count || pad16(K) }, () => -random.int(2))),
  }),
  desc: ({ K, model, keep }) => ({ model: MODEL[model], Kp: pad4(K), keepProducts: keepThreshold(keep) }),
  call: ({ kernels, at, shape: { count } }) => kernels.maskedRowScores(at.scores, at.desc, at.G, at.mask, count),
  twin: ({ scores, G, mask }, { K, model, keep }) => ({
    scores: summed(
      Array.from(scores, (_, p) =>
        Array.from({ length: K }, (_, k) => {
          const kept = -mask[p * maskLanes(K, model) + k]!;
          return (65536 / keepThreshold(keep)) * kept * G[p * pad4(K) + k]!;
        }),
      ),
    ),
  }),
});

const maskedGradients = kernelCase({
  kernel: "maskedGradients",
  tolerance: 1e-6,
  shapes: sweep({ K: [...KERNEL_FACTORS, 130, 160], k: [0, 64, 128, 192] }, { count: [1, 4, 12] }).filter(
    ({ K, k }) => k < pad4(K),
  ),
  buffers: ({ K, count }, random) => ({
    ...occurrences(random, count),
    dc: input(random.values(OCCURRENCES)),
    masks: input(Uint8Array.from({ length: 16 * words(K) * OCCURRENCES }, () => random.int(256))),
    C: output(MASKED_LANES * count),
  }),
  desc: ({ K }, at) => ({ Kp: pad4(K), sScores: 4, sDropped: 4, sNext: 4 + at.next - at.dc }),
  call: ({ kernels, at, shape: { k, count } }) =>
    kernels.maskedGradients(at.C, at.desc, at.dc - BEFORE, at.first, count, at.masks, k) - at.masks,
  twin: ({ first, next, dc, masks, C }, { K, k }) => {
    const terms = Array.from(C, (): number[] => []);
    listed(first, next).forEach(({ pair, i }, place) => {
      for (let j = 0; j < MASKED_LANES; j++) {
        const [word, bit] = [Math.floor((k + j) / WORD_LANES), 7 - (Math.floor((k + j) / 16) % 8)];
        const kept = (masks[16 * (words(K) * place + word) + (j % 16)]! >> bit) & 1;
        terms[MASKED_LANES * pair + j]!.push(kept * dc[i]!);
      }
    });
    return { C: summed(terms), returns: exactly([masks.length]) };
  },
});

const maskedRowGradients = kernelCase({
  kernel: "maskedRowGradients",
  tolerance: 0,
  shapes: sweep({ K: KERNEL_FACTORS, model: MODELS }, { P: [1, 4, 5], from: [0, 8] }),
  buffers: ({ K, model, P }, random) => ({
    C: output(MASKED_LANES * P),
    dc: input(random.values(P)),
    mask: input(Int16Array.from({ length: maskLanes(K, model) * P || pad16(K) }, () => -random.int(2))),
  }),
  desc: ({ K, model }) => ({ model: MODEL[model], Kp: pad4(K) }),
  call: ({ kernels, at, shape: { K, P, from } }) => {
    const { first, lanes } = someLanes(K, from);
    kernels.maskedRowGradients(at.C, at.desc, at.dc, at.mask + 2 * first, P, lanes);
  },
  twin: ({ C, dc, mask }, { K, model, from }) => {
    const { first, lanes } = someLanes(K, from);
    const value = (p: number, k: number) =>
      k < lanes ? -mask[p * maskLanes(K, model) + first + k]! * dc[p]! : UNTOUCHED;
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
