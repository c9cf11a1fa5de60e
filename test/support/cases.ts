/*
 * Every kernel, declared once. test/kernels/*.test.ts runs the declarations; test/kernels/all.test.ts finds kernels that
 * have none.
 *
 * To add a kernel:
 *   1. write its f64 twin in test/reference/, with its gradient checked by finite differences;
 *   2. export it from assembly/kernels/index.ts and add its signature to test/support/kernels.ts;
 *   3. declare it here: shapes that reach every tail and at least three vectors, buffers with distinct values, the
 *      fields of the Desc it reads, the call, and what must come out. Scales are sums of |terms|: for a kernel that only
 *      multiplies and adds, the twin of the absolute values. Padding lanes have scale 0 and so must be exact;
 *   4. add `testKernel(cases.yours)` to a file of test/kernels/.
 */
import { ACTIVATION, Desc, KEEP_ALL, LOSS, MODEL, OPTIMIZER } from "../../src/wasm/abi.js";
import {
  accuracy,
  adagrad,
  adam,
  allPairs,
  attentionBackward,
  attentionForward,
  batchLoss,
  dot,
  fieldBackward,
  fieldForward,
  fm,
  fmSumSquare,
  ftrl,
  initialState,
  integratedGradients,
  linearForward,
  mlpBackward,
  mlpForward,
  momentum,
  type Optimizer,
  type Pair,
  pairProductsBackward,
  type RefConfig,
  type RefModel,
  type RefRow,
  type RefTensor,
  rowLoss,
  rowPairs,
  sgd,
  softmax,
  softmaxBackward,
  zeroGradients,
} from "../reference/index.js";
import { type Expected, exactly, nearly, UNTOUCHED } from "./compare.js";
import { dropoutMask, hash32, keepThreshold, randomKey, STREAM_SAMPLING } from "./dropout.js";
import { type Buffer, inOut, input, output, outputU32, scratch } from "./guards.js";
import { kernelCase } from "./kernel-case.js";
import { maskedCases } from "./masked-cases.js";
import type { Random } from "./random.js";
import {
  ACTIVATIONS,
  ATTENTION_FACTORS,
  cross,
  KERNEL_FACTORS as FACTORS,
  FIELD_FACTORS,
  pad4,
  SLOTS,
  sweep,
} from "./sweep.js";
import { tableCases } from "./table-cases.js";
import { togetherCases } from "./together-cases.js";

type Numbers = ArrayLike<number>;

const NONE = new Float32Array(0);

/** As long as `length`, with zeros behind. */
function padded(values: Numbers, length: number): number[] {
  return Array.from({ length }, (_, i) => values[i] ?? 0);
}

const sum = (values: Numbers): number => Array.from(values).reduce((total, value) => total + value, 0);
const abs = (values: Numbers): number[] => Array.from(values, Math.abs);

function mapValues<N extends string, A, B>(record: Record<N, A>, map: (value: A, name: N) => B): Record<N, B> {
  const entries = Object.entries<A>(record).map(([name, value]) => [name, map(value, name as N)]);
  return Object.fromEntries(entries) as Record<N, B>;
}

/** A twin that only multiplies and adds: the same twin of the |values| gives the sums of |terms|. */
function multilinear<N extends string>(
  values: Record<N, Numbers>,
  twin: (values: Record<N, Numbers>) => Record<string, Numbers>,
): Record<string, Expected> {
  const scales = twin(mapValues(values, abs));
  return mapValues(twin(values), (signed, name) => ({ values: signed, scale: scales[name]! }));
}

// Models of the twins, from the padded buffers of the kernels

/** `cols` numbers of each of `rows` rows. */
function tensor(data: Numbers, rows: number, cols: number, stride = cols, lane = 0): RefTensor {
  const out = new Float64Array(rows * cols);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[r * cols + c] = data[r * stride + lane + c]!;
  return { shape: [rows, cols], data: out };
}

/** Rows of `cols` numbers as rows of `stride`. */
function strided(data: Numbers, cols: number, stride: number): number[] {
  return Array.from({ length: (data.length / cols) * stride }, (_, i) => {
    const [row, col] = [Math.floor(i / stride), i % stride];
    return col < cols ? data[row * cols + col]! : 0;
  });
}

function twinModel(config: Partial<RefConfig>, tensors: Record<string, RefTensor>): RefModel {
  return {
    config: {
      model: "ifm",
      features: 1,
      fields: 1,
      factors: 1,
      attentionFactors: 1,
      fieldFactors: 1,
      hidden: [],
      activation: "identity",
      temperature: 1,
      temperatureOn: "logits",
      loss: "squared",
      fieldOfSlot: [],
      excludeSameField: false,
      ...config,
    },
    tensors,
  };
}

function twinRow(features: Numbers, values: Numbers): RefRow {
  return {
    label: 0,
    slots: Array.from(features, (feature, s) => ({ feature, value: values.length ? values[s]! : 1 })),
  };
}

// The table

const FEATURES = 7;

/** n records [ v | w 0 0 0 ] and the record n of zeros. */
function table(random: Random, K: number): Float32Array {
  const rowFloats = pad4(K) + 4;
  const out = random.rows(FEATURES + 1, K, rowFloats);
  for (let j = 0; j < FEATURES; j++) out[j * rowFloats + pad4(K)] = random.value();
  return out.fill(0, FEATURES * rowFloats);
}

/** Features of a row, repetitions and the unknown feature n among them. */
const features = (random: Random, slots: number): Uint32Array =>
  Uint32Array.from({ length: slots }, () => random.int(FEATURES + 1));

const tableDesc = (K: number, table: number) => ({ n: FEATURES, table, Kp: pad4(K), rowFloats: pad4(K) + 4 });

// Pairs

/** The list {s, t, p} of byte offsets, with the padding {M, M, P}; `all` is P. */
function pairList(pairs: readonly Pair[], slots: number, K: number, all = allPairs(slots).length): Uint32Array {
  const laneBytes = 4 * pad4(K);
  const out = new Uint32Array(3 * pad4(pairs.length));
  for (let i = 0; i < out.length / 3; i++) {
    const [s, t] = pairs[i] ?? [slots, slots];
    const p = pairs[i] ? allPairs(slots).findIndex(([a, b]) => a === s && b === t) : all;
    out.set([s * laneBytes, t * laneBytes, p * laneBytes], 3 * i);
  }
  return out;
}

/** The pairs of a list. */
function pairsOf(list: Numbers, slots: number, K: number): Pair[] {
  const laneBytes = 4 * pad4(K);
  return Array.from(
    { length: list.length / 3 },
    (_, i): Pair => [list[3 * i]! / laneBytes, list[3 * i + 1]! / laneBytes],
  ).filter(([s]) => s < slots);
}

/** All pairs but `dropped` of them, at least one. */
function somePairs(random: Random, slots: number, dropped: number): Pair[] {
  const all = allPairs(slots);
  const out = new Set(random.permutation(all.length).slice(0, Math.min(dropped, all.length - 1)));
  return all.filter((_, p) => !out.has(p));
}

/** The slot buffer as a model: slot s holds feature s with value 1. */
function slotModel(slotRows: Numbers, slots: number, K: number): { model: RefModel; row: RefRow } {
  const features = Array.from({ length: slots }, (_, s) => s);
  const feature_embeddings = tensor(slotRows, slots, K, pad4(K));
  return {
    model: twinModel({ features: slots, factors: K, fieldOfSlot: features }, { feature_embeddings }),
    row: twinRow(features, []),
  };
}

/** Bytes 0xff and 0 in every lane, padding included: what stands there must not matter. */
const maskLanes = (random: Random, lanes: number): Uint8Array =>
  Uint8Array.from({ length: lanes }, () => (random.chance(0.6) ? 255 : 0));

const pad16 = (size: number): number => Math.ceil(size / 16) * 16;

// FM

const pairwiseForward = kernelCase({
  kernel: "pairwiseForward",
  tolerance: 5e-7,
  shapes: cross({ K: FACTORS, slots: [0, ...SLOTS], oneHot: [true, false], wantsZ: [true, false] }),
  buffers: ({ K, slots, oneHot, wantsZ }, random) => ({
    S: output(pad4(K) + 4),
    z: output(wantsZ ? pad4(K) : 0),
    table: input(table(random, K)),
    features: input(features(random, slots)),
    values: input(oneHot ? NONE : random.values(slots)),
  }),
  desc: ({ K }, at) => tableDesc(K, at.table),
  call: ({ kernels, at, shape: { slots, oneHot, wantsZ } }) =>
    kernels.pairwiseForward(at.S, wantsZ ? at.z : 0, at.desc, at.features, oneHot ? 0 : at.values, slots),
  twin: ({ table, features, values }, { K, wantsZ }) => {
    const Kp = pad4(K);
    const V = tensor(table, FEATURES + 1, K, Kp + 4).data;
    const u = Array.from(features, (j, s) => Array.from({ length: K }, (_, k) => V[j * K + k]! * (values[s] ?? 1)));
    const lane = (k: number) => u.map((us) => us[k]!);
    const z = fmSumSquare(u, K);
    const S = z.map((_, k) => sum(lane(k)));
    const sScale = z.map((_, k) => sum(abs(lane(k))));
    const zScale = z.map((_, k) => sScale[k]! ** 2 + sum(lane(k).map((x) => x * x)));
    const linear = Array.from(features, (j, s) => table[j * (Kp + 4) + Kp]! * (values[s] ?? 1));
    const withLinear = (lanes: number[], total: number) => padded([...padded(lanes, Kp), total], Kp + 4);
    return {
      S: { values: withLinear(S, sum(linear)), scale: withLinear(sScale, sum(abs(linear))) },
      z: { values: padded(z, wantsZ ? Kp : 0), scale: padded(zScale, Kp) },
      returns: { values: [sum(z)], scale: sum(zScale) },
    };
  },
});

const pairwiseBackward = kernelCase({
  kernel: "pairwiseBackward",
  tolerance: 1e-7,
  shapes: cross({ K: FACTORS, byLane: [true, false] }),
  buffers: ({ K, byLane }, random) => ({
    S: inOut(random.rows(1, K, pad4(K))),
    dz: input(byLane ? random.rows(1, K, pad4(K)) : NONE),
    dy: input(random.values(1)),
  }),
  call: ({ kernels, memory, at, shape: { K, byLane } }) =>
    kernels.pairwiseBackward(at.S, byLane ? at.dz : 0, new Float32Array(memory.buffer, at.dy, 1)[0]!, pad4(K)),
  twin: (values, { K, byLane }) =>
    multilinear(values, ({ S, dz, dy }) => ({
      S: Array.from({ length: pad4(K) }, (_, k) => S[k]! * (byLane ? dz[k]! : dy[0]!)),
    })),
});

/** Sums of a row: numbers, and zeros of both signs among them; marks of dropped lanes (-0), where there are to be some. */
function sumsOfRow(random: Random, K: number, marked: boolean): Float32Array {
  const S = random.rows(1, K, pad4(K));
  return S.map((x, k) => (random.chance(0.2) ? (marked && k < K ? -0 : 0) : x));
}

const pairwiseDropout = kernelCase({
  kernel: "pairwiseDropout",
  tolerance: 5e-7,
  shapes: cross({ K: FACTORS, keep: [1, 0.9, 0.5, 0.1], key: [0, 7] }),
  buffers: ({ K }, random) => ({ S: inOut(sumsOfRow(random, K, true)), z: input(random.rows(1, K, pad4(K))) }),
  call: ({ kernels, at, shape: { K, keep, key } }) =>
    kernels.pairwiseDropout(at.S, at.z, key, keepThreshold(keep), pad4(K)),
  twin: ({ S, z }, { K, keep, key }) => {
    const mask = dropoutMask(key, pad4(K), keepThreshold(keep));
    const terms = Array.from(z, (x, k) => x * mask[k]!);
    return {
      // A lane that is kept loses the sign of its 0.
      S: exactly(Array.from(S, (x, k) => (mask[k] ? x + 0 : -0))),
      returns: { values: [sum(terms)], scale: sum(abs(terms)) },
    };
  },
});

const pairwiseKeptBackward = kernelCase({
  kernel: "pairwiseKeptBackward",
  tolerance: 0,
  shapes: cross({ K: FACTORS, dy: [0.75, -0.3, 0] }),
  buffers: ({ K }, random) => ({ S: inOut(sumsOfRow(random, K, true)) }),
  call: ({ kernels, at, shape: { K, dy } }) => kernels.pairwiseKeptBackward(at.S, dy, pad4(K)),
  twin: ({ S }, { dy }) => ({
    S: exactly(Array.from(S, (x) => (Object.is(x, -0) ? -0 : Math.fround(x * Math.fround(dy)) + 0))),
  }),
});

/** Of the kernels that take a keep probability from the Desc. */
const KEEP = 0.8;
const hasValues = (kind: string): boolean => kind === "values" || kind.endsWith(", values") || kind === "by lane";

const BATCH_ROWS = 5;
/** Occurrences of other features before and behind those of the feature in hand. */
const OTHERS = 2;

const pairwiseRecordGradient = kernelCase({
  kernel: "pairwiseRecordGradient",
  tolerance: 1e-6,
  shapes: cross({
    K: FACTORS,
    occurrences: SLOTS,
    kind: ["one-hot", "values", "by lane", "dropout", "dropout, values"],
  }),
  buffers: ({ K, occurrences, kind }, random) => {
    const rowFloats = pad4(K) + 4;
    const marked = kind.startsWith("dropout");
    const rows = Array.from({ length: BATCH_ROWS }, () => [...sumsOfRow(random, K, marked), ...random.values(4)]);
    const index = Uint32Array.from({ length: occurrences + 2 * OTHERS }, () => random.int(BATCH_ROWS));
    return {
      g: output(rowFloats),
      record: input(random.rows(1, K, rowFloats)),
      rowSum: input(Float32Array.from(rows.flat())),
      rowDy: input(random.values(BATCH_ROWS)),
      rowDz: input(kind === "by lane" ? random.rows(BATCH_ROWS, K, rowFloats) : NONE),
      occIndex: input(index.fill(2 ** 31, 0, OTHERS).fill(2 ** 31, -OTHERS)),
      occValue: input(
        random
          .values(hasValues(kind) ? index.length : 0)
          .fill(Number.NaN, 0, OTHERS)
          .fill(Number.NaN, -OTHERS),
      ),
    };
  },
  desc: ({ K, kind }, at) => ({
    Kp: pad4(K),
    rowFloats: pad4(K) + 4,
    rowSum: at.rowSum,
    rowDy: at.rowDy,
    rowDz: kind === "by lane" ? at.rowDz : 0,
    keepProducts: kind.startsWith("dropout") ? keepThreshold(KEEP) : KEEP_ALL,
    occIndex: at.occIndex,
    occValue: hasValues(kind) ? at.occValue : 0,
    values: hasValues(kind) ? 1 : 0,
  }),
  call: ({ kernels, at, shape: { occurrences } }) =>
    kernels.pairwiseRecordGradient(at.g, at.record, at.desc, OTHERS, OTHERS + occurrences),
  // dv[k] = Σ_b x_b (dz_b[k] S_b[k]) - v[k] Σ_b x_b² dz_b[k],  dw = Σ_b x_b dy_b; with dropout the first factor of dz comes last
  twin: ({ record, rowSum, rowDy, rowDz, occIndex, occValue }, { K, occurrences, kind }) => {
    const Kp = pad4(K);
    const rowFloats = Kp + 4;
    const g = new Array<number>(rowFloats).fill(0);
    const scale = new Array<number>(rowFloats).fill(0);
    const add = (lane: number, term: number) => {
      g[lane]! += term;
      scale[lane]! += Math.abs(term);
    };
    const dropout = kind.startsWith("dropout");
    const factor = dropout ? 65536 / keepThreshold(KEEP) : 1;
    for (let i = OTHERS; i < OTHERS + occurrences; i++) {
      const row = occIndex[i]! * rowFloats;
      const x = occValue.length ? occValue[i]! : 1;
      const dy = rowDy[occIndex[i]!]!;
      for (let k = 0; k < K; k++) {
        const S = rowSum[row + k]!;
        const dz = dropout && Object.is(S, -0) ? 0 : dy;
        add(k, factor * x * S);
        add(k, -factor * record[k]! * x * x * (rowDz.length ? rowDz[row + k]! : dz));
      }
      add(Kp, x * dy);
    }
    return { g: { values: g, scale } };
  },
});

const linear = kernelCase({
  kernel: "linearForward",
  tolerance: 5e-7,
  shapes: cross({ K: [1, 4, 5, 64], slots: [0, ...SLOTS], oneHot: [true, false] }),
  buffers: ({ K, slots, oneHot }, random) => ({
    bias: input(random.values(1)),
    table: input(table(random, K)),
    features: input(features(random, slots)),
    values: input(oneHot ? NONE : random.values(slots)),
  }),
  desc: ({ K }, at) => ({ ...tableDesc(K, at.table), bias: at.bias }),
  call: ({ kernels, at, shape: { slots, oneHot } }) =>
    kernels.linearForward(at.desc, at.features, oneHot ? 0 : at.values, slots),
  twin: (values, { K }) =>
    multilinear(values, ({ bias, table, features, values }) => {
      const feature_bias = tensor(table, FEATURES, 1, pad4(K) + 4, pad4(K));
      const model = twinModel({ features: FEATURES }, { bias: tensor(bias, 1, 1), feature_bias });
      return { returns: [linearForward(model, twinRow(features, values))] };
    }),
});

// IFM: pair products

const gatherSlots = kernelCase({
  kernel: "gatherSlots",
  tolerance: 1e-7,
  shapes: cross({ K: FACTORS, slots: SLOTS, oneHot: [true, false] }),
  buffers: ({ K, slots, oneHot }, random) => ({
    slots: output((slots + 1) * pad4(K)),
    table: input(table(random, K)),
    features: input(features(random, slots)),
    values: input(oneHot ? NONE : random.values(slots)),
  }),
  desc: ({ K, slots }, at) => ({ ...tableDesc(K, at.table), M: slots }),
  call: ({ kernels, at, shape: { oneHot } }) =>
    kernels.gatherSlots(at.slots, at.desc, at.features, oneHot ? 0 : at.values),
  twin: (values, { K, slots }) => {
    const Kp = pad4(K);
    const known = Array.from(values.features).filter((j) => j < FEATURES).length;
    const { slots: rows } = multilinear(values, ({ table, features, values: x }) => ({
      slots: Array.from({ length: (slots + 1) * Kp }, (_, i) => {
        const [s, k] = [Math.floor(i / Kp), i % Kp];
        return s < slots ? table[features[s]! * (Kp + 4) + k]! * (x[s] ?? 1) : 0;
      }),
    }));
    return { slots: rows!, returns: exactly([known]) };
  },
});

const knownPairs = kernelCase({
  kernel: "knownPairs",
  tolerance: 0,
  shapes: cross({ K: [1, 4, 5, 64], slots: [...SLOTS, 4, 5], unknown: [0, 1, 2, 3, 10] }),
  buffers: ({ K, slots, unknown }, random) => {
    const ids = Uint32Array.from({ length: slots }, () => random.int(FEATURES));
    for (const s of random.permutation(slots).slice(0, unknown)) ids[s] = FEATURES;
    return {
      out: outputU32(3 * pad4(allPairs(slots).length)),
      pairs: input(pairList(allPairs(slots), slots, K)),
      features: input(ids),
    };
  },
  desc: ({ K, slots }, at) => ({
    n: FEATURES,
    M: slots,
    P: allPairs(slots).length,
    fieldRows: allPairs(slots).length,
    activeCount: allPairs(slots).length,
    Kp: pad4(K),
    active: at.pairs,
  }),
  call: ({ kernels, at }) => kernels.knownPairs(at.out, at.desc, at.features),
  twin: ({ out, features }, { K, slots }) => {
    const { model } = slotModel(new Float32Array(FEATURES * pad4(K)), FEATURES, K);
    const known = rowPairs(model, twinRow(features, []), undefined).map(({ s, t }): Pair => [s, t]);
    const list = pairList(known, slots, K);
    return {
      out: exactly(Array.from(out, (_, i) => list[i] ?? UNTOUCHED)),
      returns: exactly([known.length]),
    };
  },
});

const PRODUCT_SLOTS = [2, 3, 4, 10] as const;
const KEEP_SCALE = Math.fround(1 / 0.6);

const productsForward = kernelCase({
  kernel: "productsForward",
  tolerance: 1e-6,
  shapes: sweep({ K: FACTORS, slots: PRODUCT_SLOTS, terms: [false, true] }, { dropped: [0, 1, 2, 3] }),
  buffers: ({ K, slots, terms, dropped }, random) => {
    const pairs = somePairs(random, slots, dropped);
    const P = allPairs(slots).length;
    const Pp = pad4(pairs.length);
    return {
      out: output(pad4(K) * Pp),
      scores: output(Pp),
      slots: input(withZeroRow(random.rows(slots, K, pad4(K)), pad4(K))),
      G: output(terms ? Pp * pad4(K) : 0),
      pairs: input(pairList(pairs, slots, K)),
      fieldPairs: input(withZeroRow(random.rows(P, K, pad4(K)), pad4(K))),
    };
  },
  desc: ({ K }) => ({ Kp: pad4(K) }),
  call: ({ kernels, at, shape: { terms, slots, dropped } }) =>
    kernels.productsForward(
      at.out,
      at.scores,
      at.desc,
      at.fieldPairs,
      at.slots,
      terms ? at.G : 0,
      at.pairs,
      pad4(Math.max(1, allPairs(slots).length - dropped)),
    ),
  twin: (values, { K, slots, terms }) => {
    const Kp = pad4(K);
    const list = pairsOf(values.pairs, slots, K);
    const Pp = values.pairs.length / 3;
    return multilinear({ slots: values.slots, fieldPairs: values.fieldPairs }, ({ slots: rows, fieldPairs }) => {
      const { model, row } = slotModel(rows, slots, K);
      const pairs = rowPairs(model, row, list);
      const F = (p: number, k: number) => fieldPairs[p * Kp + k]!;
      const ofPair = pairs.map(({ e, index }) =>
        padded(
          Array.from(e, (ek, k) => ek * F(index, k)),
          Kp,
        ),
      );
      return {
        out: Array.from({ length: Kp * Pp }, (_, i) => pairs[i % Pp]?.e[Math.floor(i / Pp)] ?? 0),
        scores: terms ? new Array<number>(Pp).fill(UNTOUCHED) : padded(ofPair.map(sum), Pp),
        G: terms ? padded(ofPair.flat(), Pp * Kp) : [],
      };
    });
  },
});

const pairProductsCase = kernelCase({
  kernel: "pairProducts",
  tolerance: 1e-7,
  shapes: sweep({ K: FACTORS, slots: PRODUCT_SLOTS }, { dropped: [0, 1, 2, 3], from: [0, 4, 8], slack: [0, 16] }),
  buffers: ({ K, slots, dropped, from, slack }, random) => {
    const pairs = somePairs(random, slots, dropped);
    return {
      out: output(pairs.length * (someLanes(K, from) + slack)),
      slots: input(withZeroRow(random.rows(slots, K, pad4(K)), pad4(K))),
      pairs: input(pairList(pairs, slots, K)),
    };
  },
  call: ({ kernels, at, shape: { K, slots, dropped, from, slack } }) => {
    const P = Math.max(1, allPairs(slots).length - dropped);
    const lanes = someLanes(K, from);
    kernels.pairProducts(at.out, at.slots + 4 * (pad4(K) - lanes), at.pairs, P, lanes, 4 * (lanes + slack));
  },
  twin: ({ pairs: list, slots: rows, out }, { K, slots, from, slack }) => {
    const { model, row } = slotModel(rows, slots, K);
    const lanes = someLanes(K, from);
    const first = pad4(K) - lanes;
    const pairs = rowPairs(model, row, pairsOf(list, slots, K));
    const e = Array.from(out, (_, i) => pairs[Math.floor(i / (lanes + slack))]!.e[first + (i % (lanes + slack))] ?? 0);
    // Behind the lanes of a product lies nothing.
    const values = e.map((value, i) => (i % (lanes + slack) < lanes ? value : UNTOUCHED));
    return { out: { values, scale: abs(e) } };
  },
});

/** Lanes of kernels that take some of them: those behind the first `from`, or all. */
const someLanes = (K: number, from: number): number => (from < pad4(K) ? pad4(K) - from : pad4(K));

/** The rows and, behind them, a row of zeros: slot M, pair P. */
function withZeroRow(rows: Float32Array, stride: number): Float32Array {
  const out = new Float32Array(rows.length + stride);
  out.set(rows);
  return out;
}

/** 0 or 1 of lane k of pair i of the list; 1 without dropout. */
function maskOf(mask: Numbers, K: number): (i: number, k: number) => number {
  return mask.length === 0 ? () => 1 : (i, k) => mask[i * pad16(K) + k]! & 1;
}

/** C_p comes in rows of so many lanes. */
const MASKED_LANES = 64;
const productLanes = (K: number, from: number, kind: string): number =>
  Math.min(someLanes(K, from), kind === "by lane" ? MASKED_LANES : Number.POSITIVE_INFINITY);

const productsBackward = kernelCase({
  kernel: "productsBackward",
  tolerance: 1e-6,
  shapes: sweep(
    { K: FACTORS, slots: PRODUCT_SLOTS, kind: ["one", "by lane", "concat"] },
    { dropped: [0, 1, 2, 3], from: [0, 8, 16], slack: [0, 16] },
  ),
  buffers: ({ K, slots, kind, dropped, from, slack }, random) => {
    const pairs = somePairs(random, slots, dropped);
    const P = allPairs(slots).length;
    const lanes = productLanes(K, from, kind);
    const Kp = pad4(K);
    return {
      slotGrad: inOut(withZeroRow(random.rows(slots, K, Kp), Kp)),
      dF: inOut(withZeroRow(random.rows(P, K, Kp), Kp)),
      slots: input(withZeroRow(random.rows(slots, K, Kp), Kp)),
      dE: input(random.rows(pairs.length, K - (Kp - lanes), lanes + slack)),
      dc: input(random.values(pairs.length * (kind === "by lane" ? MASKED_LANES : 1))),
      pairs: input(pairList(pairs, slots, K)),
      fieldPairs: input(withZeroRow(random.rows(P, K, Kp), Kp)),
      dx: input(kind === "concat" ? withZeroRow(random.rows(P, K, Kp), Kp) : NONE),
    };
  },
  call: ({ kernels, at, shape: { K, kind, slots, dropped, from, slack } }) => {
    const lanes = productLanes(K, from, kind);
    const first = pad4(K) - lanes;
    kernels.productsBackward(
      at.slotGrad + 4 * first,
      at.dF + 4 * first,
      at.fieldPairs + 4 * first,
      at.slots + 4 * first,
      at.dE,
      at.dc,
      kind === "by lane",
      at.pairs,
      Math.max(1, allPairs(slots).length - dropped),
      lanes,
      4 * (lanes + slack),
      kind === "concat" ? at.dx + 4 * first : 0,
    );
  },
  // de_p += C_p ⊙ F_p;  dF_p += C_p ⊙ e_p;  C_p is dc_p, or of each lane, or dc_p dx_p
  twin: ({ pairs: list, ...values }, { K, slots, kind, from, slack }) => {
    const Kp = pad4(K);
    const lanes = productLanes(K, from, kind);
    const first = Kp - lanes;
    const chosen = pairsOf(list, slots, K);
    return multilinear(values, ({ slotGrad, dF, slots: rows, dE: given, dc, fieldPairs, dx }) => {
      const C = (i: number, p: number, k: number) => {
        if (kind === "by lane") return dc[i * MASKED_LANES + k - first]!;
        return dc[i]! * (dx.length ? dx[p * Kp + k]! : 1);
      };
      const { model, row } = slotModel(rows, slots, K);
      const pairs = rowPairs(model, row, chosen);
      const dE = pairs.map(({ index }, i) =>
        Array.from({ length: K }, (_, k) => {
          if (k < first) return 0;
          return given[i * (lanes + slack) + k - first]! + C(i, index, k) * fieldPairs[index * Kp + k]!;
        }),
      );
      const into = { feature_embeddings: new Float64Array(slots * K) };
      pairProductsBackward(model, row, pairs, dE, into);
      const dv = strided(into.feature_embeddings, K, Kp);
      const toF = Array.from(dF);
      pairs.forEach(({ e, index }, i) => {
        for (let k = first; k < K; k++) toF[index * Kp + k]! += C(i, index, k) * e[k]!;
      });
      return { slotGrad: Array.from(slotGrad, (g, i) => g + (dv[i] ?? 0)), dF: toF };
    });
  },
});

// INN: concatenation

const concatShapes = sweep({ K: FACTORS, slots: PRODUCT_SLOTS, dropout: [false, true] }, { dropped: [0, 1, 2, 3] });
type ConcatShape = (typeof concatShapes)[number];

function concatBuffers({ K, slots, dropout, dropped }: ConcatShape, random: Random) {
  const pairs = somePairs(random, slots, dropped);
  const Kp = pad4(K);
  return {
    fieldPairs: input(random.rows(allPairs(slots).length, K, Kp)),
    slots: input(withZeroRow(random.rows(slots, K, Kp), Kp)),
    mask: input(dropout ? maskLanes(random, pairs.length * pad16(K)) : new Uint8Array(0)),
    pairs: input(pairList(pairs, slots, K)),
  };
}

const concatDesc = ({ K }: ConcatShape) => ({ Kp: pad4(K) });

/** For every pair of the list: its number, its place p, and its m ⊙ e ⊙ F times keepScale. */
function concatTerms(
  { fieldPairs, slots: rows, mask, pairs }: Record<"fieldPairs" | "slots" | "mask" | "pairs", Numbers>,
  { K, slots, dropout }: ConcatShape,
): { p: number; terms: number[] }[] {
  const Kp = pad4(K);
  const kept = maskOf(mask, K);
  return pairsOf(pairs, slots, K).map(([s, t], i) => {
    const p = pairs[3 * i + 2]! / (4 * Kp);
    const scale = dropout ? KEEP_SCALE : 1;
    const term = (k: number) => scale * kept(i, k) * rows[s * Kp + k]! * rows[t * Kp + k]! * fieldPairs[p * Kp + k]!;
    return { p, terms: Array.from({ length: K }, (_, k) => term(k)) };
  });
}

const concatForward = kernelCase({
  kernel: "concatForward",
  tolerance: 3e-7,
  shapes: concatShapes,
  buffers: (shape, random) => ({
    ...concatBuffers(shape, random),
    x: output(allPairs(shape.slots).length * pad4(shape.K)),
    T: input(random.values(allPairs(shape.slots).length)),
  }),
  desc: (shape) => concatDesc(shape),
  call: ({ kernels, at, shape: { slots, dropped, dropout } }) =>
    kernels.concatForward(
      at.x,
      at.desc,
      at.fieldPairs,
      at.slots,
      at.T,
      dropout ? at.mask : 0,
      at.pairs,
      Math.max(1, allPairs(slots).length - dropped),
      dropout ? KEEP_SCALE : 1,
    ),
  twin: ({ T, ...values }, shape) => {
    const Kp = pad4(shape.K);
    const x = new Array<number>(allPairs(shape.slots).length * Kp).fill(UNTOUCHED);
    concatTerms(values, shape).forEach(({ p, terms }, i) => {
      const weighted = padded(
        terms.map((term) => T[i]! * term),
        Kp,
      );
      for (let k = 0; k < Kp; k++) x[p * Kp + k] = weighted[k]!;
    });
    return { x: { values: x, scale: abs(x) } };
  },
});

const concatBackward = kernelCase({
  kernel: "concatBackward",
  tolerance: 1e-6,
  shapes: concatShapes,
  buffers: (shape, random) => ({
    ...concatBuffers(shape, random),
    dT: output(pad4(Math.max(1, allPairs(shape.slots).length - shape.dropped))),
    dx: inOut(random.rows(allPairs(shape.slots).length, shape.K, pad4(shape.K))),
  }),
  desc: (shape) => concatDesc(shape),
  call: ({ kernels, at, shape: { slots, dropped, dropout } }) =>
    kernels.concatBackward(
      at.dT,
      at.desc,
      at.fieldPairs,
      at.slots,
      at.dx,
      dropout ? at.mask : 0,
      at.pairs,
      Math.max(1, allPairs(slots).length - dropped),
      dropout ? KEEP_SCALE : 1,
    ),
  twin: ({ dx, dT, ...values }, shape) => {
    const Kp = pad4(shape.K);
    const terms = concatTerms(values, shape).map(({ p, terms }) => terms.map((term, k) => term * dx[p * Kp + k]!));
    // What the mask drops is dropped of dx, too; absent pairs' places are left as they are.
    const kept = Array.from(dx);
    const mask = maskOf(values.mask, shape.K);
    if (shape.dropout) {
      concatTerms(values, shape).forEach(({ p }, i) => {
        for (let k = 0; k < shape.K; k++) kept[p * Kp + k]! *= mask(i, k);
      });
    }
    return {
      dx: exactly(kept),
      dT: {
        values: padded(terms.map(sum), dT.length),
        scale: padded(
          terms.map((t) => sum(abs(t))),
          dT.length,
        ),
      },
    };
  },
});

const padPairs = kernelCase({
  kernel: "padPairs",
  tolerance: 0,
  shapes: cross({ count: [0, 1, 2, 3, 4, 5], K: [1, 4, 5, 64] }),
  buffers: ({ count }) => ({ pairs: outputU32(3 * pad4(count)) }),
  desc: ({ K }) => ({ M: 10, Kp: pad4(K), fieldRows: 45 }),
  call: ({ kernels, at, shape: { count } }) => kernels.padPairs(at.pairs, count, at.desc),
  twin: (_, { count, K }) => {
    const [zeroSlot, zeroField] = [10 * 4 * pad4(K), 45 * 4 * pad4(K)];
    const padding = [zeroSlot, zeroSlot, zeroField];
    return {
      pairs: exactly(Array.from({ length: 3 * pad4(count) }, (_, i) => (i < 3 * count ? UNTOUCHED : padding[i % 3]!))),
    };
  },
});

// Sampling

const samplePairs = kernelCase({
  kernel: "samplePairs",
  tolerance: 0,
  shapes: cross({
    slots: [2, 3, 4, 10],
    share: [0, 0.1, 0.3, 0.5, 0.8, 1],
    noise: [false, true],
    norms: ["distinct", "equal", "zero"],
    step: [0, 1, 2],
  }),
  buffers: ({ slots, share, norms, step }, random) => {
    const pairs = somePairs(random, slots, step); // some pairs left out, so that places and numbers differ
    const rows = random.rows(allPairs(slots).length, 5, 8);
    if (norms !== "distinct") rows.fill(norms === "equal" ? 0.5 : 0);
    return {
      fieldPairs: input(rows),
      pairs: input(pairList(pairs, slots, 5)),
      sampled: outputU32(isSampling(pairs.length, share) ? 3 * pad4(sampleSize(pairs.length, share)) : 0),
      sampleKeys: scratch(new Float64Array(2 * pairs.length)),
    };
  },
  desc: ({ slots, share, noise, step }, at) => {
    const P = Math.max(1, allPairs(slots).length - step);
    return {
      P,
      M: slots,
      Kp: 8,
      fieldRows: allPairs(slots).length,
      seed: 7,
      step,
      sampleCount: sampleSize(P, share),
      sampleNoise: noise ? 1 : 0,
      fieldPairs: at.fieldPairs,
      pairs: at.pairs,
      sampled: at.sampled,
      sampleKeys: at.sampleKeys,
    };
  },
  descWrites: ["active", "activeCount"],
  call: ({ kernels, memory, at, shape: { slots, share, step } }) => {
    kernels.samplePairs(at.desc);
    const desc = new Desc(memory, at.desc);
    const P = Math.max(1, allPairs(slots).length - step);
    if (desc.get("active") !== (isSampling(P, share) ? at.sampled : at.pairs)) throw new Error("active is elsewhere");
    return desc.get("activeCount");
  },
  // Gumbel top-k: the largest log ‖F_p‖² - log(-log u)
  twin: ({ fieldPairs, pairs, sampled }, { slots, share, noise, step }) => {
    const list = pairsOf(pairs, slots, 5);
    if (!isSampling(list.length, share)) return { sampled: exactly([]), returns: exactly([list.length]) };
    const key = randomKey(7, STREAM_SAMPLING, step, 0);
    const ranks = list.map((_, i) => {
      const F = pairs[3 * i + 2]! / 4;
      const norm = sum(Array.from({ length: 8 }, (_, k) => fieldPairs[F + k]! ** 2));
      const u = (hash32((key + i) >>> 0) + 0.5) / 2 ** 32;
      return Math.log(Math.max(norm, 2 ** -1022)) - (noise ? Math.log(-Math.log(u)) : 0);
    });
    const count = sampleSize(list.length, share);
    // Of equal ranks the first; the pairs stay in their order.
    const best = ranks.map((_, i) => i).sort((a, b) => ranks[b]! - ranks[a]! || a - b);
    const chosen = best.slice(0, count).sort((a, b) => a - b);
    const expected = pairList(
      chosen.map((i) => list[i]!),
      slots,
      5,
    );
    return { sampled: exactly(expected.slice(0, sampled.length)), returns: exactly([count]) };
  },
});

const isSampling = (P: number, share: number): boolean => share > 0 && sampleSize(P, share) < P;
const sampleSize = (P: number, share: number): number => (share === 0 ? 0 : Math.max(1, Math.floor(share * P)));

// IFM: attention

const PAIR_COUNTS = [1, 2, 3, 4, 5, 6, 7, 8, 45] as const;
const TEMPERATURE = 8; // 1/τ is exact
const TEMPERATURES = ["none", "logits", "projection"] as const;
type AttentionShape = {
  A: number;
  activation: (typeof ACTIVATIONS)[number];
  temperature: (typeof TEMPERATURES)[number];
};

const attentionDesc = ({ A, activation, temperature }: AttentionShape) => ({
  A,
  Ap: pad4(A),
  activation: ACTIVATION[activation],
  preScale: temperature === "projection" ? 1 / TEMPERATURE : 1,
  logitScale: temperature === "logits" ? 1 / TEMPERATURE : 1,
});

/** A model whose projection is the identity: what enters it, e_p, is what the kernel has as e_p W. */
function attentionModel({ A, activation, temperature }: AttentionShape, attnB: Numbers, attnH: Numbers): RefModel {
  const identity = new Float32Array(A * A);
  for (let a = 0; a < A; a++) identity[a * A + a] = 1;
  const config: Partial<RefConfig> = {
    factors: A,
    attentionFactors: A,
    activation,
    temperature: temperature === "none" ? 1 : TEMPERATURE,
    temperatureOn: temperature === "projection" ? "projection" : "logits",
  };
  return twinModel(config, {
    attention_W: tensor(identity, A, A),
    attention_b: tensor(attnB, 1, A),
    attention_p: tensor(attnH, 1, A),
  });
}

/** Rows of A numbers each. */
function rowsOf(data: Numbers, rows: number, cols: number, stride: number): number[][] {
  return Array.from({ length: rows }, (_, r) => Array.from({ length: cols }, (_, c) => data[r * stride + c]!));
}

/** The columns of `rows` rows of `cols` numbers. */
function columnsOf(data: Numbers, cols: number, rows: number): number[][] {
  return Array.from({ length: cols }, (_, c) => Array.from({ length: rows }, (_, r) => data[r * cols + c]!));
}

const LOWEST = -(2 - 2 ** -23) * 2 ** 127;

const attentionForwardCase = kernelCase({
  kernel: "attentionForward",
  tolerance: 1e-6,
  shapes: sweep({ A: ATTENTION_FACTORS, P: PAIR_COUNTS, activation: ACTIVATIONS }, { temperature: TEMPERATURES }),
  buffers: ({ A, P }, random) => ({
    logits: output(pad4(P)),
    H: inOut(Float32Array.from(padded(random.values(A * pad4(P), -4, 4), pad4(A) * pad4(P)))),
    attnB: input(random.rows(1, A, pad4(A))),
    attnH: input(random.rows(1, A, pad4(A))),
  }),
  desc: (shape, at) => ({ ...attentionDesc(shape), attnB: at.attnB, attnH: at.attnH }),
  call: ({ kernels, at, shape: { P } }) => kernels.attentionForward(at.logits, at.H, at.desc, P),
  twin: ({ H, attnB, attnH }, shape) => {
    const { A, P } = shape;
    const Pp = pad4(P);
    const { hidden, logits } = attentionForward(attentionModel(shape, attnB, attnH), columnsOf(H, Pp, A));
    const scaleOf = (p: number) =>
      sum(Array.from({ length: A }, (_, a) => Math.abs(attnH[a]!) * (5 + Math.abs(hidden[p]![a]!))));
    return {
      H: {
        values: Array.from(H, (h, i) => hidden[i % Pp]![Math.floor(i / Pp)] ?? h),
        // |α z| + |b| < 5; rows of padding stay
        scale: Array.from(H, (_, i) => (i < A * Pp ? 5 : 0)),
      },
      logits: {
        values: Array.from({ length: Pp }, (_, p) => (p < P ? logits[p]! : LOWEST)),
        scale: padded(
          logits.slice(0, P).map((_, p) => scaleOf(p) * attentionDesc(shape).logitScale),
          Pp,
        ),
      },
    };
  },
});

const attentionBackwardCase = kernelCase({
  kernel: "attentionBackward",
  tolerance: 1e-6,
  shapes: sweep({ A: ATTENTION_FACTORS, P: PAIR_COUNTS, activation: ACTIVATIONS }, { temperature: TEMPERATURES }),
  buffers: ({ A, P, activation }, random) => {
    // What act can give; half of ReLU's are 0.
    const H = random.values(A * pad4(P), -0.95, 0.95).map((h) => {
      return activation === "relu" ? Math.max(h, 0) : activation === "sigmoid" ? 0.5 + h / 2 : h;
    });
    return {
      db: inOut(random.rows(1, A, pad4(A))),
      dh: inOut(random.rows(1, A, pad4(A))),
      H: inOut(Float32Array.from(padded(H, pad4(A) * pad4(P)))),
      HT: output(pad4(P) * pad4(A)),
      dlogit: input(Float32Array.from(padded(sumsToZero(random.values(P)), pad4(P)))),
      attnH: input(random.rows(1, A, pad4(A))),
    };
  },
  desc: (shape, at) => ({ ...attentionDesc(shape), attnH: at.attnH }),
  call: ({ kernels, at, shape: { P } }) => kernels.attentionBackward(at.db, at.dh, at.H, at.HT, at.dlogit, at.desc, P),
  twin: ({ db, dh, H, dlogit, attnH }, shape) => {
    const { A, P } = shape;
    const [Ap, Pp] = [pad4(A), pad4(P)];
    const { preScale, logitScale } = attentionDesc(shape);
    // ReLU' looks at what enters, which is positive exactly where what leaves is. Equal weights and dT_p = P dlogit_p
    // make softmaxBackward the identity, because the dlogit sum to 0.
    const hidden = columnsOf(H, Pp, A).slice(0, P);
    const kept = { preactivations: hidden, hidden, logits: [], weights: new Array<number>(P).fill(1 / P) };
    const dT = Array.from(dlogit.slice(0, P), (g) => P * g);
    const into = zeroGradients(attentionModel(shape, new Float32Array(A), attnH));
    const de = attentionBackward(attentionModel(shape, new Float32Array(A), attnH), hidden, kept, dT, into);

    const terms = logitScale * sum(abs(dlogit)); // |act| and |act'| are at most 1
    const dH = (p: number, a: number): Expected => ({
      values: [de[p]?.[a] ?? 0],
      scale: preScale * logitScale * Math.abs((dlogit[p] ?? 0) * attnH[a]!),
    });
    const all = (of: (i: number) => Expected): Expected => {
      const each = Array.from({ length: Pp * Ap }, (_, i) => of(i));
      return { values: each.map(({ values }) => values[0]!), scale: each.map(({ scale }) => scale as number) };
    };
    return {
      db: {
        values: Array.from(db, (x, a) => x + (into.attention_b![a] ?? 0)),
        scale: Array.from(db, (x, a) => Math.abs(x) + terms * Math.abs(attnH[a]!)),
      },
      dh: {
        values: Array.from(dh, (x, a) => x + (into.attention_p![a] ?? 0)),
        scale: Array.from(dh, (x, a) => (a < A ? Math.abs(x) + terms : 0)),
      },
      H: all((i) => dH(i % Pp, Math.floor(i / Pp))),
      HT: all((i) => dH(Math.floor(i / Ap), i % Ap)),
    };
  },
});

/** Values whose sum is exactly 0. */
function sumsToZero(values: Float32Array): Float32Array {
  const coarse = values.map((value) => Math.round(value * 2 ** 16) / 2 ** 16);
  coarse[0]! -= sum(coarse);
  return coarse;
}

const SPREADS = { equal: 0, small: 0.1, wide: 10, extreme: 1e4 } as const;

const softmaxCase = kernelCase({
  kernel: "softmax",
  tolerance: 1e-6,
  shapes: cross({ P: [...FACTORS.slice(0, 17), 45], spread: ["equal", "small", "wide", "extreme"] }),
  buffers: ({ P, spread }, random) => {
    const values = random.values(P).map((x) => 3 + SPREADS[spread] * x);
    return { x: inOut(Float32Array.from({ length: pad4(P) }, (_, p) => values[p] ?? LOWEST)) };
  },
  call: ({ kernels, at, shape: { P } }) => kernels.softmax(at.x, P),
  twin: ({ x }, { P }) => {
    const logits = Array.from(x.subarray(0, P));
    const top = Math.max(...logits);
    const T = softmax(logits);
    // The difference to the maximum is rounded; below 2^-125 the kernel says 0.
    const scale = T.map((t, p) => t * (1 + top - logits[p]!) + 1e-30);
    return { x: { values: padded(T, pad4(P)), scale: padded(scale, pad4(P)) } };
  },
});

const softmaxBackwardCase = kernelCase({
  kernel: "softmaxBackward",
  tolerance: 1e-6,
  shapes: cross({ P: [...FACTORS.slice(0, 17), 45] }),
  buffers: ({ P }, random) => ({
    dT: inOut(random.rows(1, P, pad4(P))),
    T: input(Float32Array.from(padded(softmax([...random.values(P, -3, 3)]), pad4(P)))),
  }),
  call: ({ kernels, at, shape: { P } }) => kernels.softmaxBackward(at.dT, at.T, P),
  twin: ({ dT, T }) => {
    const terms = dot(T, abs(dT));
    return {
      dT: { values: softmaxBackward([...T], [...dT]), scale: Array.from(T, (t, p) => t * (Math.abs(dT[p]!) + terms)) },
    };
  },
});

// IFM: field aspect

/** Fields of the slots: one each, or some shared. */
const fieldsOf = (slots: number, shared: boolean): number[] =>
  Array.from({ length: slots }, (_, s) => (shared ? s % Math.max(1, Math.ceil(slots / 2)) : slots - 1 - s));

const fieldShapes = sweep({ K: FACTORS, slots: SLOTS, shared: [false, true] }, { KF: FIELD_FACTORS });
type FieldShape = (typeof fieldShapes)[number];

function fieldBuffers({ K, slots, KF }: FieldShape, random: Random) {
  return {
    fieldU: input(random.rows(slots, KF, pad4(KF))),
    fieldD: input(random.rows(KF, K, pad4(K))),
    fieldOfSlot: input(new Uint32Array(slots)),
    pairs: input(pairList(allPairs(slots), slots, K)),
  };
}

const fieldDesc = (
  { K, slots, KF }: FieldShape,
  at: Record<"fieldU" | "fieldD" | "fieldOfSlot" | "pairs", number>,
) => ({
  K,
  Kp: pad4(K),
  KF,
  KFp: pad4(KF),
  P: allPairs(slots).length,
  fieldU: at.fieldU,
  fieldD: at.fieldD,
  fieldOfSlot: at.fieldOfSlot,
  pairs: at.pairs,
  fieldRows: allPairs(slots).length,
});

const fieldModel = ({ K, slots, KF }: FieldShape, fieldU: Numbers, fieldD: Numbers): RefModel =>
  twinModel(
    { factors: K, fieldFactors: KF, fields: slots },
    { interaction: tensor(fieldU, slots, KF, pad4(KF)), factor: tensor(fieldD, KF, K, pad4(K)) },
  );

const fieldForwardCase = kernelCase({
  kernel: "fieldForward",
  tolerance: 1e-6,
  shapes: fieldShapes,
  buffers: (shape, random) => {
    const buffers = fieldBuffers(shape, random);
    buffers.fieldOfSlot.data.set(fieldsOf(shape.slots, shape.shared));
    return { ...buffers, fieldPairs: output((allPairs(shape.slots).length + 1) * pad4(shape.K)) };
  },
  desc: (shape, at) => ({ ...fieldDesc(shape, at), fieldPairs: at.fieldPairs }),
  call: ({ kernels, at }) => kernels.fieldForward(at.desc),
  twin: ({ fieldU, fieldD }, shape) => {
    const { K, slots, shared } = shape;
    const g = fieldsOf(slots, shared);
    return multilinear({ fieldU, fieldD }, (values) => {
      const model = fieldModel(shape, values.fieldU, values.fieldD);
      const F = allPairs(slots).flatMap(([s, t]) => padded(fieldForward(model, g[s]!, g[t]!), pad4(K)));
      return { fieldPairs: padded(F, F.length + pad4(K)) };
    });
  },
});

const fieldBackwardCase = kernelCase({
  kernel: "fieldBackward",
  tolerance: 1e-6,
  shapes: fieldShapes,
  buffers: (shape, random) => {
    const { K, slots, shared, KF } = shape;
    const buffers = fieldBuffers(shape, random);
    buffers.fieldOfSlot.data.set(fieldsOf(slots, shared));
    return {
      ...buffers,
      dU: inOut(random.rows(slots, KF, pad4(KF))),
      dD: inOut(random.rows(KF, K, pad4(K))),
      dF: input(random.rows(allPairs(slots).length, K, pad4(K))),
    };
  },
  desc: (shape, at) => fieldDesc(shape, at),
  call: ({ kernels, at }) => kernels.fieldBackward(at.dU, at.dD, at.dF, at.desc),
  twin: ({ fieldU, fieldD, dU, dD, dF }, shape) => {
    const { K, slots, shared, KF } = shape;
    const g = fieldsOf(slots, shared);
    return multilinear({ fieldU, fieldD, dU, dD, dF }, (values) => {
      const model = fieldModel(shape, values.fieldU, values.fieldD);
      const into = {
        interaction: tensor(values.dU, slots, KF, pad4(KF)).data,
        factor: tensor(values.dD, KF, K, pad4(K)).data,
      };
      const rows = rowsOf(values.dF, allPairs(slots).length, K, pad4(K));
      allPairs(slots).forEach(([s, t], p) => {
        fieldBackward(model, g[s]!, g[t]!, rows[p]!, into);
      });
      return { dU: strided(into.interaction, KF, pad4(KF)), dD: strided(into.factor, K, pad4(K)) };
    });
  },
});

// Matrix products

/** C = A B, or C + Aᵀ B. */
function product(
  A: Numbers,
  B: Numbers,
  m: number,
  k: number,
  n: number,
  strides: { a: number; b: number; c: number },
): number[] {
  const C = new Array<number>(m * strides.c).fill(0);
  for (let i = 0; i < m; i++)
    for (let l = 0; l < k; l++)
      for (let j = 0; j < n; j++) C[i * strides.c + j]! += A[i * strides.a + l]! * B[l * strides.b + j]!;
  return C;
}

const matmul = kernelCase({
  kernel: "matmul",
  tolerance: 2e-6,
  shapes: sweep({ n: [4, 8, 12, 16, 20], m: [4, 8, 12, 48], k: [4, 8, 12, 16, 64, 256] }, { slack: [0, 4, 16] }),
  buffers: ({ m, n, k, slack }, random) => ({
    C: output(m * (n + slack)),
    A: input(random.rows(m, k, k + slack)),
    B: input(random.rows(k, n, n + slack)),
  }),
  call: ({ kernels, at, shape: { m, n, k, slack } }) =>
    kernels.matmul(at.C, at.A, at.B, m, k, n, 4 * (n + slack), 4 * (k + slack), 4 * (n + slack)),
  twin: (values, { m, n, k, slack }) => {
    const strides = { a: k + slack, b: n + slack, c: n + slack };
    const { C } = multilinear(values, ({ A, B }) => ({ C: product(A, B, m, k, n, strides) }));
    return { C: { ...C!, values: Array.from(C!.values, (c, i) => (i % (n + slack) < n ? c : UNTOUCHED)) } };
  },
});

const matmulTransposedA = kernelCase({
  kernel: "matmulTransposedA",
  tolerance: 2e-6,
  shapes: sweep(
    { n: [4, 8, 12, 16, 20, 64, 256], m: [0, 1, 2, 3, 4, 5, 9, 45], k: [4, 8, 12, 16] },
    { slack: [0, 4, 16], add: [true, false] },
  ),
  buffers: ({ m, n, k, slack, add }, random) => ({
    C: add ? inOut(random.rows(k, n, n + slack)) : output(k * (n + slack)),
    A: input(random.rows(m, k, k + slack)),
    B: input(random.rows(m, n, n + slack)),
  }),
  call: ({ kernels, at, shape: { m, n, k, slack, add } }) =>
    kernels.matmulTransposedA(at.C, at.A, at.B, m, k, n, 4 * (n + slack), 4 * (k + slack), 4 * (n + slack), add),
  twin: (values, { m, n, k, slack, add }) => {
    const expected = multilinear(values, ({ A, B, C }) => {
      const AT = new Array<number>(k * m).fill(0);
      for (let i = 0; i < m; i++) for (let l = 0; l < k; l++) AT[l * m + i] = A[i * (k + slack) + l]!;
      const added = product(AT, B, k, m, n, { a: m, b: n + slack, c: n + slack });
      return { C: Array.from(C, (c, i) => (add ? c : 0) + (added[i] ?? 0)) };
    });
    // Behind the n lanes of a row lies nothing.
    const C = Array.from(expected.C!.values, (c, i) => (add || i % (n + slack) < n ? c : UNTOUCHED));
    return { C: { values: C, scale: expected.C!.scale } };
  },
});

// Networks

const HIDDEN = ["none", "4", "5", "7 3", "8 4 1"] as const;
const LAYERS = 4; // at most

const networkShapes = sweep({ hidden: HIDDEN, inputs: [4, 8, 12, 20, 64], rows: [4, 8, 12] }, {});
type NetworkShape = (typeof networkShapes)[number];

/** Inputs and units of every layer, without padding; the last has one unit. */
function layersOf({ hidden, inputs }: NetworkShape): { rows: number; columns: number }[] {
  const units = [...(hidden === "none" ? [] : hidden.split(" ").map(Number)), 1];
  return units.map((columns, l) => ({ rows: l === 0 ? inputs : units[l - 1]!, columns }));
}

const numbered = <V>(name: string, of: (l: number) => V): Record<string, V> =>
  Object.fromEntries(Array.from({ length: LAYERS }, (_, l) => [`${name}${l}`, of(l)]));

/** One buffer a layer, empty behind the last. `length` has the padded sizes. */
function perLayer(shape: NetworkShape, of: (layer: { rows: number; columns: number }, l: number) => Float32Array) {
  const layers = layersOf(shape);
  return (l: number): Float32Array => (layers[l] ? of(layers[l]!, l) : NONE);
}

/** A padded matrix with distinct values, its rows a multiple of 4, too. */
const matrix = (random: Random, rows: number, cols: number): Float32Array =>
  Float32Array.from(padded(random.rows(rows, cols, pad4(cols)), pad4(rows) * pad4(cols)));

function transposed(data: Numbers, rows: number, cols: number): Float32Array {
  return Float32Array.from({ length: rows * cols }, (_, i) => data[(i % rows) * cols + Math.floor(i / rows)]!);
}

/** Kernels and biases as the twin has them. */
function networkModel(values: Record<string, Numbers>, shape: NetworkShape): RefModel {
  const tensors = layersOf(shape).flatMap(({ rows, columns }, l) => [
    [`mlp.${l}.kernel`, tensor(values[`kernel${l}`]!, rows, columns, pad4(columns))],
    [`mlp.${l}.bias`, { shape: [columns], data: Float64Array.from(Array.from(values[`bias${l}`]!).slice(0, columns)) }],
  ]);
  return twinModel({}, Object.fromEntries(tensors));
}

/** Writes the table of layers; offsets count from where `at` says that scratch and chunk begin. */
function writeLayers(
  memory: WebAssembly.Memory,
  at: Record<string, number>,
  shape: NetworkShape,
  offsets: { scratch: number; chunk: number },
): void {
  const table = new Uint32Array(memory.buffer, at.layers!, 8 * LAYERS);
  layersOf(shape).forEach(({ rows, columns }, l) => {
    const of = (name: string) => at[`${name}${l}`] ?? 0;
    const fields = [pad4(rows), pad4(columns), of("kernel"), of("bias"), of("transpose")];
    const within = [of("chunk") - offsets.chunk, of("hidden") - offsets.scratch, of("gradient") - offsets.scratch];
    table.set([...fields, ...within], 8 * l);
  });
}

const networkBuffers = (shape: NetworkShape, random: Random) => ({
  layers: scratch(new Uint32Array(8 * LAYERS)),
  ...numbered("kernel", (l) => input(perLayer(shape, ({ rows, columns }) => matrix(random, rows, columns))(l))),
  ...numbered("bias", (l) => input(perLayer(shape, ({ columns }) => random.rows(1, columns, pad4(columns)))(l))),
});

const networkBegin = kernelCase({
  kernel: "networkBegin",
  tolerance: 0,
  shapes: networkShapes,
  buffers: (shape, random): Record<string, Buffer> => ({
    ...networkBuffers(shape, random),
    ...numbered("transpose", (l) =>
      output(perLayer(shape, (s) => new Float32Array(pad4(s.rows) * pad4(s.columns)))(l).length),
    ),
  }),
  desc: (shape, at) => ({ layers: at.layers!, layerCount: layersOf(shape).length }),
  call: ({ kernels, memory, at, shape }) => {
    writeLayers(memory, at, shape, { scratch: 0, chunk: 0 });
    kernels.networkBegin(at.desc);
  },
  twin: (values, shape) =>
    numbered("transpose", (l) => {
      const layer = layersOf(shape)[l];
      return exactly(layer ? transposed(values[`kernel${l}`]!, pad4(layer.rows), pad4(layer.columns)) : []);
    }),
});

/** Rows of `width` numbers; between them lies what is not the network's. */
const X_SLACK = 12;
const spread = (random: Random, rows: number, width: number): Float32Array => random.rows(rows, width, width + X_SLACK);

const networkForward = kernelCase({
  kernel: "networkForward",
  tolerance: 1e-6,
  shapes: networkShapes,
  buffers: (shape, random): Record<string, Buffer> => ({
    x: input(spread(random, shape.rows, shape.inputs)),
    ...networkBuffers(shape, random),
    ...numbered("hidden", (l) =>
      output(perLayer(shape, (s) => new Float32Array(shape.rows * pad4(s.columns)))(l).length),
    ),
  }),
  desc: (shape, at) => ({ layers: at.layers!, layerCount: layersOf(shape).length }),
  call: ({ kernels, memory, at, shape }) => {
    writeLayers(memory, at, shape, { scratch: at.x!, chunk: 0 });
    const top = kernels.networkForward(at.desc, at.x!, at.x!, 4 * (shape.inputs + X_SLACK), shape.rows);
    return top === at[`hidden${layersOf(shape).length - 1}`];
  },
  twin: (values, shape) => {
    const outputs = networkTwin(values, shape);
    const magnitudes = networkTwin(mapValues(values, abs), shape);
    return {
      ...numbered("hidden", (l) => ({ values: outputs[l] ?? [], scale: magnitudes[l] ?? [] })),
      returns: exactly([1]),
    };
  },
});

/** What leaves every layer, padded; the twin's inputs of the next one, and its output. */
function networkTwin(values: Record<string, Numbers>, shape: NetworkShape): number[][] {
  const layers = layersOf(shape);
  const model = networkModel(values, shape);
  const kept = rowsOf(values.x!, shape.rows, shape.inputs, shape.inputs + X_SLACK).map((row) => mlpForward(model, row));
  return layers.map(({ columns }, l) =>
    kept.flatMap(({ inputs, output }) => padded(l + 1 < layers.length ? inputs[l + 1]! : [output], pad4(columns))),
  );
}

const BLOCK = 4;

const integratedGradientsCase = kernelCase({
  kernel: "integratedGradients",
  tolerance: 1e-6,
  shapes: networkShapes.filter(({ rows }) => rows === 4),
  buffers: (shape, random): Record<string, Buffer> => ({
    x: input(random.rows(1, shape.inputs, shape.inputs, -2, 2)),
    ...networkBuffers(shape, random),
    out: { role: "out", data: new Float64Array(shape.inputs / BLOCK) },
    room: scratch(
      new Float64Array(4 * layersOf(shape).reduce((sum, { columns }) => sum + pad4(columns), 0)).fill(Number.NaN),
    ),
  }),
  desc: (shape, at) => ({ layers: at.layers!, layerCount: layersOf(shape).length, Kp: BLOCK }),
  call: ({ kernels, memory, at, shape }) => {
    writeLayers(memory, at, shape, { scratch: 0, chunk: 0 });
    return kernels.integratedGradients(at.out!, at.desc, at.x!, shape.inputs / BLOCK, at.room!);
  },
  twin: (values, shape) => {
    const model = networkModel(values, shape);
    const x = Array.from(values.x!);
    const shares = integratedGradients(model, x);
    const blocks = Array.from({ length: x.length / BLOCK }, (_, c) => sum(shares.slice(BLOCK * c, BLOCK * (c + 1))));
    const [zero, whole] = [x.map(() => 0), x].map((input) => mlpForward(model, input).output);
    // The twin's own completeness.
    if (Math.abs(sum(shares) - (whole! - zero!)) > 1e-6) throw new Error("the twin is not complete");
    return { out: nearly(blocks, 1), returns: nearly([zero!], 1) };
  },
});

const networkBackward = kernelCase({
  kernel: "networkBackward",
  tolerance: 2e-6,
  shapes: networkShapes,
  buffers: (shape, random): Record<string, Buffer> => {
    const x = spread(random, shape.rows, shape.inputs);
    const network = networkBuffers(shape, random);
    const values = mapValues({ x: input(x), ...network } as Record<string, Buffer>, ({ data }): Numbers => data);
    const hidden = networkTwin(values, shape);
    const layers = layersOf(shape);
    return {
      x: input(x),
      ...network,
      ...numbered("hidden", (l) => input(Float32Array.from(hidden[l] ?? []))),
      // The gradients of the layers' outputs: what is made of them is compared.
      ...numbered("gradient", (l) =>
        scratch(new Float32Array(layers[l] ? shape.rows * pad4(layers[l]!.columns) : 0).fill(Number.NaN)),
      ),
      ...numbered("transpose", (l) =>
        input(perLayer(shape, (s) => transposed(values[`kernel${l}`]!, pad4(s.rows), pad4(s.columns)))(l)),
      ),
      ...numbered("chunk", (l) =>
        inOut(
          perLayer(shape, ({ rows, columns }) =>
            Float32Array.from([...matrix(random, rows, columns), ...random.rows(1, columns, pad4(columns))]),
          )(l),
        ),
      ),
      dy: input(random.values(shape.rows)),
      dx: output(shape.rows * (shape.inputs + X_SLACK)),
    };
  },
  desc: (shape, at) => ({ layers: at.layers!, layerCount: layersOf(shape).length }),
  call: ({ kernels, memory, at, shape }) => {
    writeLayers(memory, at, shape, { scratch: at.x!, chunk: at.chunk0! });
    const xBytes = 4 * (shape.inputs + X_SLACK);
    kernels.networkBackward(at.desc, at.x!, at.x!, at.dx!, xBytes, shape.rows, at.dy!, at.chunk0!);
  },
  twin: (values, shape) => {
    const [signed, unsigned] = [networkBackwardTwin(values, shape, false), networkBackwardTwin(values, shape, true)];
    const width = shape.inputs + X_SLACK;
    return {
      ...numbered("chunk", (l) => ({ values: signed.chunks[l] ?? [], scale: unsigned.chunks[l] ?? [] })),
      dx: {
        values: signed.dx.flatMap((row) => [...row, ...new Array<number>(width - row.length).fill(UNTOUCHED)]),
        scale: strided(unsigned.dx.flat(), shape.inputs, width),
      },
    };
  },
});

/** Gradients of x and, padded, those of every layer added to what was in the chunk; or sums of |terms|. */
function networkBackwardTwin(values: Record<string, Numbers>, shape: NetworkShape, ofTerms: boolean) {
  const layers = layersOf(shape);
  const signs = networkModel(values, shape);
  const model = ofTerms ? networkModel(mapValues(values, abs), shape) : signs;
  const into = zeroGradients(signs);
  const dx = rowsOf(values.x!, shape.rows, shape.inputs, shape.inputs + X_SLACK).map((row, r) => {
    const kept = mlpForward(signs, row);
    // The same units are alive; only the terms lose their signs.
    const terms = { ...kept, inputs: kept.inputs.map(abs) };
    return mlpBackward(model, ofTerms ? terms : kept, ofTerms ? Math.abs(values.dy![r]!) : values.dy![r]!, into);
  });
  const chunks = layers.map(({ rows, columns }, l) => {
    const kernel = padded(strided(into[`mlp.${l}.kernel`]!, columns, pad4(columns)), pad4(rows) * pad4(columns));
    const added = [...kernel, ...padded(into[`mlp.${l}.bias`]!, pad4(columns))];
    return Array.from(values[`chunk${l}`]!, (value, i) => (ofTerms ? Math.abs(value) : value) + added[i]!);
  });
  return { dx, chunks };
}

const networkEnd = kernelCase({
  kernel: "networkEnd",
  tolerance: 0,
  shapes: cross({ rows: [4, 12], columns: [4, 8] }),
  buffers: ({ rows, columns }, random): Record<string, Buffer> => ({
    layers: scratch(new Uint32Array(8 * LAYERS)),
    // Two layers: [ other parameters | kernel | bias | kernel | bias ]
    dense: input(random.values(8 + 2 * (rows + 1) * columns)),
    grad: output(8 + 2 * (rows + 1) * columns),
    chunk: input(random.values(4 + 2 * (rows + 1) * columns)),
  }),
  desc: (_, at) => ({ layers: at.layers!, layerCount: 2, dense: at.dense!, grad: at.grad! }),
  call: ({ kernels, memory, at, shape: { rows, columns } }) => {
    const table = new Uint32Array(memory.buffer, at.layers!, 8 * LAYERS);
    const bytes = 4 * (rows + 1) * columns;
    for (const l of [0, 1]) {
      const kernel = at.dense! + 32 + l * bytes;
      table.set([rows, columns, kernel, kernel + 4 * rows * columns, 0, 16 + l * bytes], 8 * l);
    }
    kernels.networkEnd(at.desc, at.chunk!);
  },
  twin: ({ grad, chunk }) => ({ grad: exactly(Array.from(grad!, (_, i) => (i < 8 ? UNTOUCHED : chunk![i - 4]!))) }),
});

// Batch norm

const normShapes = cross({ K: FACTORS, count: [1, 2, 3, 10] });
type NormShape = (typeof normShapes)[number];

/** [ mean | 1/√(σ² + ε) | dγ | dβ ] of each lane. */
const NORM_ROWS = 4;
const statisticsScale = (variance: number): number => 1 / Math.sqrt(variance + fm.BATCH_NORM_EPSILON);

const normDesc = ({ K, count }: NormShape, batchNorm: number) => ({
  Kp: pad4(K),
  rowFloats: pad4(K) + 4,
  count,
  batchNorm,
});

/** Lane k of every row. */
const lane = (rows: Numbers, { K, count }: NormShape, k: number): number[] =>
  Array.from({ length: count }, (_, b) => rows[b * (pad4(K) + 4) + k]!);

const lanes = (K: number, of: (k: number) => number): number[] => Array.from({ length: pad4(K) }, (_, k) => of(k));

const batchNormStatistics = kernelCase({
  kernel: "batchNormStatistics",
  tolerance: 3e-6,
  shapes: normShapes,
  buffers: ({ K, count }, random) => ({
    rowZ: input(random.rows(count, K, pad4(K) + 4)),
    batchNorm: output(NORM_ROWS * pad4(K)),
    movingMean: inOut(random.rows(1, K, pad4(K))),
    movingVariance: inOut(random.rows(1, K, pad4(K), 0.5, 1)),
  }),
  desc: (shape, at) => ({
    ...normDesc(shape, at.batchNorm),
    rowZ: at.rowZ,
    movingMean: at.movingMean,
    movingVariance: at.movingVariance,
  }),
  call: ({ kernels, at }) => kernels.batchNormStatistics(at.desc),
  twin: ({ rowZ, movingMean, movingVariance }, shape) => {
    const { K, count } = shape;
    const mean = lanes(K, (k) => sum(lane(rowZ, shape, k)) / count);
    const variance = lanes(K, (k) => sum(lane(rowZ, shape, k).map((z) => (z - mean[k]!) ** 2)) / count);
    const moved = (moving: Numbers, now: number[]): Expected => {
      const d = fm.BATCH_NORM_DECAY;
      return {
        values: lanes(K, (k) => d * moving[k]! + (1 - d) * now[k]!),
        scale: lanes(K, (k) => Number(k < K)),
      };
    };
    return {
      batchNorm: {
        values: [...mean, ...variance.map(statisticsScale), ...new Array<number>(2 * pad4(K)).fill(UNTOUCHED)],
        // |z| < 1; padding has the mean 0 and the scale 1/√ε.
        scale: [
          ...lanes(K, (k) => Number(k < K)),
          ...variance.map((v) => 2 * statisticsScale(v)),
          ...lanes(2 * K, () => 0),
        ],
      },
      movingMean: moved(movingMean, mean),
      movingVariance: moved(movingVariance, variance),
    };
  },
});

const batchNormMoving = kernelCase({
  kernel: "batchNormMoving",
  tolerance: 3e-7,
  shapes: cross({ K: FACTORS }),
  buffers: ({ K }, random) => ({
    batchNorm: output(NORM_ROWS * pad4(K)),
    movingMean: input(random.rows(1, K, pad4(K))),
    movingVariance: input(random.rows(1, K, pad4(K), 0, 1)),
  }),
  desc: ({ K }, at) => ({
    Kp: pad4(K),
    batchNorm: at.batchNorm,
    movingMean: at.movingMean,
    movingVariance: at.movingVariance,
  }),
  call: ({ kernels, at }) => kernels.batchNormMoving(at.desc),
  twin: ({ movingMean, movingVariance, batchNorm }) => {
    const scales = Array.from(movingVariance, statisticsScale);
    const values = [...movingMean, ...scales];
    return {
      batchNorm: {
        values: Array.from(batchNorm, (_, i) => values[i] ?? UNTOUCHED),
        scale: [...abs(movingMean), ...scales, ...new Array<number>(scales.length * 2).fill(0)],
      },
    };
  },
});

/** Rows of d.batchNorm with distinct statistics; in padding lanes what the kernels leave there. */
function statistics(random: Random, K: number): Float32Array {
  const mean = random.rows(1, K, pad4(K));
  const scale = random.rows(1, K, pad4(K), 0.5, 2);
  for (let k = K; k < pad4(K); k++) scale[k] = statisticsScale(0);
  return Float32Array.from([...mean, ...scale]);
}

const batchNormForward = kernelCase({
  kernel: "batchNormForward",
  tolerance: 3e-7,
  shapes: cross({ K: FACTORS, inPlace: [false, true] }),
  buffers: ({ K, inPlace }, random) => ({
    out: output(inPlace ? 0 : pad4(K)),
    z: inPlace ? inOut(random.rows(1, K, pad4(K))) : input(random.rows(1, K, pad4(K))),
    batchNorm: input(statistics(random, K)),
    gamma: input(random.rows(1, K, pad4(K))),
    beta: input(random.rows(1, K, pad4(K))),
  }),
  desc: ({ K }, at) => ({ Kp: pad4(K), batchNorm: at.batchNorm, gamma: at.gamma, beta: at.beta }),
  call: ({ kernels, at, shape: { inPlace } }) => kernels.batchNormForward(inPlace ? at.z : at.out, at.z, at.desc),
  twin: ({ z, batchNorm, gamma, beta }, { K, inPlace }) => {
    const Kp = pad4(K);
    const normed = {
      values: lanes(K, (k) => gamma[k]! * (z[k]! - batchNorm[k]!) * batchNorm[Kp + k]! + beta[k]!),
      scale: lanes(K, (k) => {
        const size = Math.abs(gamma[k]! * batchNorm[Kp + k]!) * (Math.abs(z[k]!) + Math.abs(batchNorm[k]!));
        return 2 * size + Math.abs(beta[k]!);
      }),
    };
    return inPlace ? { z: normed, out: exactly([]) } : { out: normed };
  },
});

const batchNormBackward = kernelCase({
  kernel: "batchNormBackward",
  tolerance: 3e-6,
  shapes: normShapes,
  buffers: ({ K, count }, random) => ({
    u: input(random.rows(count, K, pad4(K) + 4)),
    du: inOut(random.rows(count, K, pad4(K) + 4)),
    batchNorm: inOut(Float32Array.from([...statistics(random, K), ...new Float32Array(2 * pad4(K))])),
    gamma: input(random.rows(1, K, pad4(K))),
  }),
  desc: (shape, at) => ({ ...normDesc(shape, at.batchNorm), gamma: at.gamma }),
  call: ({ kernels, at }) => kernels.batchNormBackward(at.u, at.du, at.desc),
  // dβ = Σ du,  dγ = Σ du ẑ,  dz = γ s (du - dβ/B - ẑ dγ/B)
  twin: ({ u, du, batchNorm, gamma }, shape) => {
    const { K, count } = shape;
    const Kp = pad4(K);
    const hat = (k: number) => lane(u, shape, k).map((z) => (z - batchNorm[k]!) * batchNorm[Kp + k]!);
    const dBeta = lanes(K, (k) => sum(lane(du, shape, k)));
    const dGamma = lanes(K, (k) => dot(lane(du, shape, k), hat(k)));
    const scale = lanes(K, (k) => sum(abs(lane(du, shape, k))));
    const gammaScale = lanes(
      K,
      (k) =>
        dot(
          abs(lane(du, shape, k)),
          abs(hat(k)).map((h) => h + 4),
        ) * Number(k < K),
    );
    const of = (values: (b: number, k: number) => number) =>
      Array.from({ length: count }, (_, b) => [...lanes(K, (k) => values(b, k)), 0, 0, 0, 0]).flat();
    const factor = (k: number) => gamma[k]! * batchNorm[Kp + k]!;
    const dz = of((b, k) => {
      const own = lane(du, shape, k)[b]!;
      return factor(k) * (own - dBeta[k]! / count - (hat(k)[b]! * dGamma[k]!) / count);
    });
    const dzScale = of((b, k) => {
      return Math.abs(factor(k)) * (scale[k]! + (Math.abs(hat(k)[b]!) + 4) * (gammaScale[k]! / count));
    });
    // Behind the lanes of a row lies what batch norm leaves alone.
    return {
      du: { values: dz.map((value, i) => (i % (Kp + 4) < Kp ? value : UNTOUCHED)), scale: dzScale },
      batchNorm: {
        values: [...new Array<number>(2 * Kp).fill(UNTOUCHED), ...dGamma, ...dBeta],
        scale: [...new Array<number>(2 * Kp).fill(0), ...gammaScale, ...scale],
      },
    };
  },
});

const batchNormEnd = kernelCase({
  kernel: "batchNormEnd",
  tolerance: 0,
  shapes: cross({ K: FACTORS }),
  buffers: ({ K }, random) => ({
    dense: input(random.values(4 + 2 * pad4(K))),
    grad: output(4 + 2 * pad4(K)),
    batchNorm: input(random.values(NORM_ROWS * pad4(K))),
  }),
  desc: ({ K }, at) => ({
    K,
    Kp: pad4(K),
    batchNorm: at.batchNorm,
    dense: at.dense,
    grad: at.grad,
    gamma: at.dense + 16,
    beta: at.dense + 16 + 4 * pad4(K),
  }),
  call: ({ kernels, at }) => kernels.batchNormEnd(at.desc),
  // Padding is not copied: dβ is Σ dy there.
  twin: ({ grad, batchNorm }, { K }) => {
    const lanes = pad4(K);
    const value = (i: number) => (i % lanes < K ? batchNorm[2 * lanes + i]! : UNTOUCHED);
    return { grad: exactly(Array.from(grad, (_, i) => (i < 4 ? UNTOUCHED : value(i - 4)))) };
  },
});

// Loss

const lossOfRows = kernelCase({
  kernel: "lossOfRows",
  tolerance: 1e-6,
  shapes: cross({ rows: [2, 4, 10], b: [0, 6], first: [0, 4], loss: ["squared", "logistic", "bpr"] }),
  buffers: ({ rows, b, first }, random) => ({
    dy: output(rows),
    labels: input(Float32Array.from({ length: first + b + rows }, () => random.pick([-1, 1]))),
    order: input(Uint32Array.from(random.permutation(first + b + rows))),
    yHat: input(random.values(b + rows, -4, 4)),
  }),
  desc: ({ first, loss }, at) => ({
    first,
    loss: LOSS[loss],
    labels: at.labels,
    order: at.order,
    yHat: at.yHat,
    dyScale: 0.25,
  }),
  call: ({ kernels, at, shape: { b, rows } }) => kernels.lossOfRows(at.dy, at.desc, b, rows),
  twin: ({ labels, order, yHat }, { rows, b, first, loss }) => {
    const y = Array.from({ length: rows }, (_, r) => labels[order[first + b + r]!]!);
    const { loss: value, dScores } = batchLoss(loss, "sum", y, [...yHat].slice(b));
    return { dy: nearly(dScores.map((g) => 0.25 * g)), returns: nearly([value]) };
  },
});

const metricSums = kernelCase({
  kernel: "metricSums",
  tolerance: 1e-12,
  shapes: cross({ count: [0, 1, 2, 3, 10], first: [0, 3], loss: ["squared", "logistic"] }),
  buffers: ({ count, first }, random) => ({
    out: inOut(Float64Array.from(random.values(6, 1, 2))),
    labels: input(Float32Array.from({ length: first + count }, () => random.pick([-1, 1]))),
    order: input(Uint32Array.from(random.permutation(first + count))),
    yHat: input(random.values(count, -4, 4)),
  }),
  desc: ({ count, first, loss }, at) => ({
    count,
    first,
    loss: LOSS[loss],
    labels: at.labels,
    order: at.order,
    yHat: at.yHat,
  }),
  call: ({ kernels, at }) => kernels.metricSums(at.out, at.desc, -0.5, 0.75, 0.25, 0.125),
  twin: ({ out, labels, order, yHat }, { count, first }) => {
    const y = Array.from(yHat, (_, b) => labels[order[first + b]!]!);
    const errors = Array.from(yHat, (score, b) => Math.min(0.75, Math.max(-0.5, score)) - y[b]!);
    const losses = Array.from(yHat, (score, b) => rowLoss("logistic", y[b]!, score));
    const of = (label: number, above: boolean) => y.filter((l, b) => l === label && yHat[b]! > 0.25 === above).length;
    const added = [
      sum(errors.map((e) => e * e)),
      sum(abs(errors)),
      sum(losses),
      of(1, true),
      of(-1, true),
      of(1, false),
    ];
    if (count > 0 && Math.abs(1 - (added[4]! + added[5]!) / count - accuracy(y, [...yHat], 0.25)) > 1e-12) {
      throw new Error("metricSums: this twin and accuracy() disagree");
    }
    return { out: nearly(added.map((x, i) => x + out[i]!)) };
  },
});

const allFinite = kernelCase({
  kernel: "allFinite",
  tolerance: 0,
  shapes: cross({ floats: [0, 4, 8, 12, 16, 68], odd: ["none", "nan", "+inf", "-inf"], at: [0, 1, 6, 11, 67] }),
  buffers: ({ floats, odd, at }, random) => {
    const x = random.values(floats).map((value, i) => (i % 2 ? value : value * 3e38)); // sums would overflow
    if (odd !== "none" && at < floats) x[at] = { nan: Number.NaN, "+inf": 1 / 0, "-inf": -1 / 0 }[odd];
    return { x: input(x) };
  },
  call: ({ kernels, at, shape: { floats } }) => kernels.allFinite(at.x, floats),
  twin: ({ x }) => ({ returns: exactly([x.every(Number.isFinite) ? 1 : 0]) }),
});

// Optimizers

const RULES = ["sgd", "momentum", "adagrad", "adam", "ftrl"] as const;
type Rule = (typeof RULES)[number];

const f = Math.fround;
/** Settings as the kernels see them: rounded to f32. */
export const OPTIMIZERS: Record<Rule, Optimizer> = {
  sgd: { rule: "sgd", lr: f(0.05) },
  momentum: { rule: "momentum", lr: f(0.05), mu: f(0.95), rows: "lazy" },
  adagrad: { rule: "adagrad", lr: f(0.05) },
  adam: { rule: "adam", lr: f(0.05), beta1: f(0.9), beta2: f(0.999), epsilon: f(1e-8), rows: "lazy" },
  ftrl: { rule: "ftrl", lr: f(0.5), beta: 1, lambda1: f(0.2), lambda2: f(0.3) },
};

const optimizerDesc = (rule: Rule, at: { theta: number; state: number; state2: number }) => ({
  optimizer: OPTIMIZER[rule],
  lr: OPTIMIZERS[rule].lr,
  momentum: f(0.95),
  beta1: f(0.9),
  beta2: f(0.999),
  epsilon: f(1e-8),
  ftrlBeta: 1,
  ftrlL1: f(0.2),
  ftrlL2: f(0.3),
  state: at.state - at.theta,
  state2: at.state2 - at.theta,
});

const statesOf = (rule: Rule): number => ({ sgd: 0, momentum: 1, adagrad: 1, adam: 2, ftrl: 2 })[rule];

/** θ with a zero among the values, and in the last vector one lane of padding. */
function parameters(random: Random, floats: number): Float32Array {
  const theta = random.values(floats);
  theta[1] = 0;
  theta[floats - 1] = 0;
  return theta;
}

/** One step of a rule on one tensor. */
function stepTwin(
  optimizer: Optimizer,
  step: number,
  theta: Float64Array,
  g: Float64Array,
  slots: Float64Array[],
): void {
  if (optimizer.rule === "sgd") sgd(theta, g, optimizer.lr);
  else if (optimizer.rule === "momentum") momentum(theta, g, slots[0]!, optimizer.lr, optimizer.mu);
  else if (optimizer.rule === "adagrad") adagrad(theta, g, slots[0]!, optimizer.lr);
  else if (optimizer.rule === "adam") adam(theta, g, slots[0]!, slots[1]!, step, optimizer);
  else ftrl(theta, g, slots[0]!, slots[1]!, { ...optimizer, alpha: optimizer.lr });
}

/** Runs `gradients.length / theta.length` steps of the twin. */
function runTwin(
  rule: Rule,
  initial: Float32Array,
  gradients: Float32Array,
  l2: number,
  scale: number,
): Record<string, Expected> {
  const optimizer = OPTIMIZERS[rule];
  const theta = Float64Array.from(initial);
  const n = theta.length;
  const model = twinModel({}, { bias: { shape: [n], data: theta } });
  const slots = initialState(model, optimizer).slots.bias!;
  for (let step = 0; step * n < gradients.length; step++) {
    const g = theta.map((value, i) => scale * (gradients[step * n + i]! + l2 * value));
    stepTwin(optimizer, step + 1, theta, g, slots);
  }
  // The last lane is padding: it must stay exactly 0, and so must m, v and z.
  const expected = (values: Float64Array, isG = false): Expected => {
    const { scale } = nearly(values);
    return { values, scale: Array.from(values, (_, i) => (i < n - 1 || isG ? (scale as number) : 0)) };
  };
  return {
    theta: expected(theta),
    state: slots[0] ? expected(slots[0], rule === "adagrad") : exactly([]),
    state2: slots[1] ? expected(slots[1]) : exactly([]),
  };
}

const STEPS = 5;

const optimizerStep = kernelCase({
  kernel: "optimizerStep",
  tolerance: 3e-6,
  shapes: cross({ rule: RULES, floats: [4, 8, 12, 16, 20, 68], l2: [0, 0.25], scale: [1, 0.375], zero: [false, true] }),
  buffers: ({ rule, floats, zero }, random) => {
    const states = statesOf(rule);
    const gradients = zero ? new Float32Array(STEPS * floats) : random.values(STEPS * floats);
    for (let step = 1; step <= STEPS; step++) gradients[step * floats - 1] = 0;
    return {
      theta: inOut(parameters(random, floats)),
      state: output(states > 0 ? floats : 0),
      state2: output(states > 1 ? floats : 0),
      gradients: input(gradients),
    };
  },
  desc: ({ rule }, at) => optimizerDesc(rule, at),
  descWrites: ["correction1", "correction2"],
  call: ({ kernels, memory, at, shape: { floats, l2, scale } }) => {
    const desc = new Desc(memory, at.desc);
    kernels.optimizerInit(at.desc, at.theta, floats);
    for (let step = 0; step < STEPS; step++) {
      desc.set({ correction1: 1 / (1 - f(0.9) ** (step + 1)), correction2: 1 / (1 - f(0.999) ** (step + 1)) });
      kernels.optimizerStep(at.desc, at.theta, at.gradients + 4 * step * floats, floats, l2, scale);
    }
  },
  twin: ({ theta, gradients }, { rule, l2, scale }) => runTwin(rule, theta, gradients, l2, scale),
});

const optimizerInit = kernelCase({
  kernel: "optimizerInit",
  tolerance: 2e-7,
  shapes: cross({ rule: RULES, floats: [4, 8, 12, 16, 20, 68] }),
  buffers: ({ rule, floats }, random) => ({
    theta: input(parameters(random, floats)),
    state: output(statesOf(rule) > 0 ? floats : 0),
    state2: output(statesOf(rule) > 1 ? floats : 0),
  }),
  desc: ({ rule }, at) => optimizerDesc(rule, at),
  call: ({ kernels, at, shape: { floats } }) => kernels.optimizerInit(at.desc, at.theta, floats),
  twin: ({ theta }, { rule }) => runTwin(rule, theta, NONE, 0, 1),
});

const squaredNorm = kernelCase({
  kernel: "squaredNorm",
  tolerance: 3e-7,
  shapes: cross({ floats: [0, 4, 8, 12, 16, 68], l2: [0, 0.25] }),
  buffers: ({ floats }, random) => ({ theta: input(random.values(floats)), gradient: input(random.values(floats)) }),
  call: ({ kernels, at, shape: { floats, l2 } }) => kernels.squaredNorm(at.theta, at.gradient, floats, l2),
  twin: (values, { l2 }) =>
    multilinear(values, ({ theta, gradient }) => ({
      returns: [sum(Array.from(theta, (value, i) => (gradient[i]! + l2 * value) ** 2))],
    })),
});

const stepIsFinite = kernelCase({
  kernel: "stepIsFinite",
  tolerance: 0,
  shapes: cross({
    floats: [4, 8, 20, 68],
    odd: [0, Number.NaN, 1 / 0, -1 / 0, 1e20],
    where: ["theta", "gradient"],
    at: [0, 1, 7, 67],
    scale: [1, 2 ** -20],
    zero: [false, true],
  }),
  buffers: ({ floats, odd, where, at }, random) => {
    const values = { theta: random.values(floats), gradient: random.values(floats) };
    if (odd !== 0 && at < floats) values[where][at] = odd;
    return { theta: input(values.theta), gradient: input(values.gradient) };
  },
  call: ({ kernels, at, shape: { floats, scale, zero } }) =>
    kernels.stepIsFinite(at.theta, zero ? 0 : at.gradient, floats, scale),
  twin: ({ theta, gradient }, { scale, zero }) => {
    const squares = Array.from(gradient, (g) => (zero ? 0 : f(f(scale * g) ** 2)));
    return { returns: exactly([squares.every((square, i) => Number.isFinite(square + theta[i]!)) ? 1 : 0]) };
  },
});

// Occurrences

/** The only feature of the batch before. */
const LEFT_BEHIND = FEATURES - 1;

const sortOccurrences = kernelCase({
  kernel: "sortOccurrences",
  tolerance: 0,
  shapes: cross({
    rows: [1, 2, 3, 10],
    slots: SLOTS,
    model: ["fm", "ifm"],
    values: [false, true],
    known: ["all", "some", "none"],
  }),
  buffers: ({ rows, slots, model, values, known }, random) => {
    const N = rows + 4;
    // FM's rows may have any length; both draw from few features, so that some repeat in a row.
    const lengths = Array.from({ length: N }, () => (model === "fm" ? random.int(slots + 1) : slots));
    const rowPtr = Uint32Array.from([0, ...lengths]);
    for (let r = 0; r < N; r++) rowPtr[r + 1]! += rowPtr[r]!;
    const nnz = rowPtr[N]!;
    const ids = Uint32Array.from({ length: nnz }, () => random.int(FEATURES + (known === "some" ? 2 : 0)));
    const most = Math.min(rows * slots, FEATURES);
    return {
      touched: inOut(new Uint32Array(most + 1).fill(LEFT_BEHIND)),
      occStart: outputU32(most + 1),
      occIndex: outputU32(rows * slots),
      occValue: output(model === "fm" ? rows * slots : 0),
      slotOf: inOut(Uint32Array.from({ length: FEATURES + 1 }, (_, j) => (j < LEFT_BEHIND || j === FEATURES ? 0 : 7))),
      order: input(Uint32Array.from(random.permutation(N))),
      rowPtr: input(rowPtr),
      labels: input(random.values(N)),
      features: input(ids.map((j) => (known === "none" ? FEATURES : Math.min(j, FEATURES)))),
      values: input(values ? random.values(nnz) : NONE),
    };
  },
  desc: ({ rows, model, values }, at) => ({
    model: MODEL[model],
    n: FEATURES,
    first: 3,
    count: rows,
    labels: at.labels,
    order: at.order,
    rowPtr: at.rowPtr,
    features: at.features,
    values: values ? at.values : 0,
    slotOf: at.slotOf,
    touched: at.touched,
    touchedCount: 1,
    occStart: at.occStart,
    occIndex: at.occIndex,
    occValue: at.occValue,
  }),
  descWrites: ["touchedCount"],
  call: ({ kernels, memory, at }) => {
    kernels.sortOccurrences(at.desc);
    return new Desc(memory, at.desc).get("touchedCount");
  },
  twin: ({ order, rowPtr, features, values, touched, occStart, occIndex, occValue }, { rows, model }) => {
    // By feature in order of first touch; within a feature in the order of the rows.
    const byFeature = new Map<number, { index: number; value: number | undefined }[]>();
    const unknown: { index: number; value: number | undefined }[] = [];
    let behindTouched: number[] = [];
    let slot = 0;
    for (let b = 0; b < rows; b++) {
      const row = order[3 + b]!;
      for (let i = rowPtr[row]!; i < rowPtr[row + 1]!; i++, slot++) {
        const j = features[i]!;
        const occurrence = { index: model === "fm" ? b : slot, value: values[i] };
        behindTouched = j === FEATURES || byFeature.has(j) ? [j] : [];
        if (j === FEATURES) unknown.push(occurrence);
        else byFeature.set(j, [...(byFeature.get(j) ?? []), occurrence]);
      }
    }
    const groups = [...byFeature.values()];
    const known = groups.flat();
    const all = [...known, ...unknown];
    const starts = groups.map((_, t) => groups.slice(0, t).flat().length);
    const ends = new Map([...byFeature.keys()].map((j, t) => [j, starts[t]! + groups[t]!.length]));
    const behind = (list: (number | undefined)[], like: Numbers) =>
      exactly(Array.from(like, (_, i) => list[i] ?? UNTOUCHED));
    return {
      returns: exactly([byFeature.size]),
      touched: behind([...byFeature.keys(), ...behindTouched], touched),
      slotOf: exactly(Array.from({ length: FEATURES + 1 }, (_, j) => (j < FEATURES ? (ends.get(j) ?? 0) : all.length))),
      occStart: behind([...starts, known.length], occStart),
      occIndex: behind(
        all.map(({ index }) => index),
        occIndex,
      ),
      occValue: behind(
        all.map(({ value }) => value),
        occValue,
      ),
    };
  },
});

const touchRows = kernelCase({
  kernel: "touchRows",
  tolerance: 0,
  shapes: cross({ from: [0, 2], rows: [0, 1, 3, 10], slots: SLOTS.filter((slots) => slots > 0) }),
  buffers: ({ from, rows, slots }, random) => {
    const N = from + rows + 4;
    const rowPtr = Uint32Array.from({ length: N + 1 }, (_, r) => r * slots);
    return {
      order: input(Uint32Array.from(random.permutation(N))),
      rowPtr: input(rowPtr),
      labels: input(Uint32Array.from({ length: N }, () => random.int(2 ** 31))),
      features: input(Uint32Array.from({ length: N * slots }, () => random.int(2 ** 31))),
    };
  },
  desc: (_, at) => ({
    first: 3,
    order: at.order,
    rowPtr: at.rowPtr,
    labels: at.labels,
    features: at.features,
  }),
  call: ({ kernels, at, shape: { from, rows } }) => kernels.touchRows(at.desc, from, from + rows) >>> 0,
  // The first and the last word of each row's features, and its label
  twin: ({ order, rowPtr, labels, features }, { from, rows }) => {
    let words = 0;
    for (let b = from; b < from + rows; b++) {
      const row = order[3 + b]!;
      words ^= features[rowPtr[row]!]! ^ features[rowPtr[row + 1]! - 1]! ^ labels[row]!;
    }
    return { returns: exactly([words >>> 0]) };
  },
});

const beginScatter = kernelCase({
  kernel: "beginScatter",
  tolerance: 0,
  shapes: cross({ K: [1, 5, 8], touchedCount: [0, 1, 3] }),
  buffers: ({ K, touchedCount }, random) => {
    const touched = Uint32Array.from(random.permutation(FEATURES)).fill(LEFT_BEHIND, touchedCount);
    const slotOf = new Uint32Array(FEATURES + 1);
    for (let t = 0; t < touchedCount; t++) slotOf[touched[t]!] = t + 1;
    return {
      touched: input(touched),
      slotOf: inOut(slotOf),
      featureGrad: inOut(random.values((FEATURES + 1) * (pad4(K) + 4))),
      order: input(Uint32Array.of(9, 1, 0)),
      rowPtr: input(Uint32Array.of(0, 2, 3)),
      labels: input(random.values(2)),
      features: input(Uint32Array.of(1, FEATURES, 2)),
    };
  },
  desc: ({ K, touchedCount }, at) => ({ ...tableDesc(K, 0), ...at, first: 1, count: 2, touchedCount }),
  descWrites: ["touchedCount"],
  call: ({ kernels, memory, at }) => {
    kernels.beginScatter(at.desc);
    return new Desc(memory, at.desc).get("touchedCount");
  },
  twin: ({ slotOf, featureGrad }, { K, touchedCount }) => ({
    returns: exactly([0]),
    slotOf: exactly(Array.from(slotOf, () => 0)),
    featureGrad: exactly(Array.from(featureGrad, (x, i) => (i < (touchedCount + 1) * (pad4(K) + 4) ? 0 : x))),
  }),
});

const DY = -0.375;

const scatterRow = kernelCase({
  kernel: "scatterRow",
  tolerance: 1e-6,
  shapes: cross({ K: [1, 4, 5, 8], slots: [0, ...SLOTS], oneHot: [true, false] }),
  buffers: ({ K, slots, oneHot }, random) => {
    const rowFloats = pad4(K) + 4;
    const S = random.rows(1, K, pad4(K));
    // Features 2 and 4 were touched by the rows before, in this order; rows of featureGrad: 0 is of unknown features.
    const sums = random.rows(FEATURES + 1, K, rowFloats).fill(0, 3 * rowFloats);
    return {
      touched: inOut(Uint32Array.from({ length: FEATURES + 1 }, (_, t) => [2, 4][t] ?? LEFT_BEHIND)),
      slotOf: inOut(Uint32Array.from({ length: FEATURES + 1 }, (_, j) => (j === 2 ? 1 : j === 4 ? 2 : 0))),
      featureGrad: inOut(sums),
      S: input(S),
      features: input(features(random, slots)),
      values: input(oneHot ? NONE : random.values(slots)),
    };
  },
  desc: ({ K }, at) => ({
    ...tableDesc(K, 0),
    touched: at.touched,
    slotOf: at.slotOf,
    featureGrad: at.featureGrad,
    touchedCount: 2,
  }),
  descWrites: ["touchedCount"],
  call: ({ kernels, memory, at, shape: { slots, oneHot } }) => {
    kernels.scatterRow(at.desc, at.S, DY, at.features, oneHot ? 0 : at.values, slots);
    return new Desc(memory, at.desc).get("touchedCount");
  },
  // G[j] += [ x dz S | x dy, x² dy, 0 0 ]
  twin: ({ S, features, values, featureGrad, touched }, { K, slots }) => {
    const Kp = pad4(K);
    const list = [2, 4];
    let written = 0;
    const sums = Array.from(featureGrad);
    const scale = sums.map(Math.abs);
    for (let s = 0; s < slots; s++) {
      const j = features[s]!;
      const x = values[s] ?? 1;
      written = 0;
      if (j !== FEATURES && !list.includes(j)) list.push(j);
      else written = 1;
      const at = (j === FEATURES ? 0 : list.indexOf(j) + 1) * (Kp + 4);
      const terms = [...Array.from({ length: Kp }, (_, k) => x * S[k]!), x * DY, x * x * DY];
      terms.forEach((term, k) => {
        sums[at + k]! += term;
        scale[at + k]! += Math.abs(term);
      });
    }
    const behind = written === 1 ? [features[slots - 1]!] : [];
    return {
      returns: exactly([list.length]),
      touched: exactly(Array.from(touched, (before, t) => [...list, ...behind][t] ?? before)),
      slotOf: exactly(Array.from({ length: FEATURES + 1 }, (_, j) => list.indexOf(j) + 1)),
      featureGrad: { values: sums, scale },
    };
  },
});

const scatteredGradient = kernelCase({
  kernel: "scatteredGradient",
  tolerance: 1e-6,
  shapes: cross({ K: [1, 4, 5, 8], t: [0, 2] }),
  buffers: ({ K, t }, random) => {
    const rowFloats = pad4(K) + 4;
    const featureGrad = random.rows(4, K, rowFloats);
    featureGrad.set(random.values(2), (t + 1) * rowFloats + pad4(K));
    return { g: output(rowFloats), record: input(random.rows(1, K, rowFloats)), featureGrad: input(featureGrad) };
  },
  desc: ({ K }, at) => ({ ...tableDesc(K, 0), featureGrad: at.featureGrad }),
  call: ({ kernels, at, shape: { t } }) => kernels.scatteredGradient(at.g, at.record, at.desc, t),
  twin: ({ record, featureGrad }, { K, t }) => {
    const Kp = pad4(K);
    const at = (t + 1) * (Kp + 4);
    const lanes = Array.from({ length: Kp }, (_, k) => featureGrad[at + k]! - featureGrad[at + Kp + 1]! * record[k]!);
    return { g: nearly(padded([...lanes, featureGrad[at + Kp]!], Kp + 4)) };
  },
});

// Distinct pairs of a block of rows

const BLOCK_ROWS = 4;
/** log2 of the places of a hash table: for 4 rows of 45 pairs, half of them full. */
const TABLE_BITS = 9;

const distinctBegin = kernelCase({
  kernel: "distinctBegin",
  tolerance: 0,
  shapes: cross({ K: [1, 5, 64], slots: [2, 3, 10] }),
  buffers: () => ({ counts: outputU32(3), tables: outputU32(2 * 8), pairs: outputU32(6) }),
  desc: ({ K, slots }, at) => ({
    Kp: pad4(K),
    fieldRows: allPairs(slots).length,
    tableShift: 32 - 3,
    sCounts: 0,
    sTables: at.tables - at.counts,
    sBlockPairs: at.pairs - at.counts,
  }),
  call: ({ kernels, at }) => kernels.distinctBegin(at.desc, at.counts),
  twin: (_, { K, slots }) => ({
    counts: exactly([1, 1, UNTOUCHED]),
    tables: exactly(new Array<number>(16).fill(0)),
    pairs: exactly([0, 0, allPairs(slots).length * 4 * pad4(K), UNTOUCHED, UNTOUCHED, UNTOUCHED]),
  }),
});

/** Number of the entry in the list, which it joins if it is new. */
function numberIn(list: number[][], entry: number[]): number {
  const found = list.findIndex((other) => entry.every((value, i) => value === other[i]));
  return found < 0 ? list.push(entry) - 1 : found;
}

const distinctPairs = kernelCase({
  kernel: "distinctPairs",
  tolerance: 0,
  shapes: cross({ K: [1, 5, 64], slots: [2, 3, 10], oneHot: [true, false], dropped: [0, 3] }),
  buffers: ({ K, slots, oneHot, dropped }, random) => {
    const pairs = somePairs(random, slots, dropped);
    return {
      counts: inOut(new Uint32Array(2)),
      tables: scratch(new Uint32Array(2 * 2 ** TABLE_BITS)),
      distinct: outputU32(3 * (1 + BLOCK_ROWS * slots)),
      blockPairs: outputU32(3 * (1 + BLOCK_ROWS * pairs.length)),
      rowPairs: outputU32(BLOCK_ROWS * pad4(pairs.length)),
      rowSlots: outputU32(BLOCK_ROWS * slots),
      active: input(pairList(pairs, slots, K)),
      // Few, so that rows repeat them; n, the unknown feature, is one.
      features: input(Uint32Array.from({ length: BLOCK_ROWS * slots }, () => FEATURES - random.int(3))),
      values: input(oneHot ? NONE : Float32Array.from({ length: BLOCK_ROWS * slots }, () => random.pick([1, 0.5]))),
    };
  },
  desc: ({ K, slots, dropped }, at) => ({
    n: FEATURES,
    M: slots,
    Kp: pad4(K),
    fieldRows: allPairs(slots).length,
    active: at.active,
    activeCount: Math.max(1, allPairs(slots).length - dropped),
    tableShift: 32 - TABLE_BITS,
    sCounts: 0,
    sTables: at.tables - at.counts,
    sDistinct: at.distinct - at.counts,
    sBlockPairs: at.blockPairs - at.counts,
  }),
  call: ({ kernels, at, shape: { slots, oneHot, dropped } }) => {
    const Pp = pad4(Math.max(1, allPairs(slots).length - dropped));
    kernels.distinctBegin(at.desc, at.counts);
    let known = 0;
    for (let r = 0; r < BLOCK_ROWS; r++) {
      const [features, values] = [at.features + 4 * r * slots, oneHot ? 0 : at.values + 4 * r * slots];
      const [rowPairs, rowSlots] = [at.rowPairs + 4 * r * Pp, at.rowSlots + 4 * r * slots];
      known += kernels.distinctPairs(rowPairs, rowSlots, at.desc, at.counts, features, values);
    }
    return known;
  },
  twin: ({ active, features, values, distinct, blockPairs, rowPairs: out }, { K, slots, dropped }) => {
    const laneBytes = 4 * pad4(K);
    const P = Math.max(1, allPairs(slots).length - dropped);
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    const slotList = [[UNTOUCHED, UNTOUCHED, UNTOUCHED]];
    const pairs = [[0, 0, allPairs(slots).length * laneBytes]];
    const rowSlots: number[] = [];
    const rowPairs: number[] = [];
    let known = 0;
    for (let r = 0; r < BLOCK_ROWS; r++) {
      const offsets = Array.from({ length: slots }, (_, s) => {
        const i = r * slots + s;
        if (features[i] === FEATURES) return 0;
        const before = slotList.length;
        const slot = numberIn(slotList, [features[i]!, bits[i] ?? 0, s]);
        return slot * laneBytes + (slot === before ? 1 : 0);
      });
      rowSlots.push(...offsets);
      const row: number[] = [];
      for (let p = 0; p < P; p++) {
        const [s, t] = [offsets[active[3 * p]! / laneBytes]!, offsets[active[3 * p + 1]! / laneBytes]!];
        if (s > 0 && t > 0) row.push(numberIn(pairs, [s - (s % 2), t - (t % 2), active[3 * p + 2]!]));
      }
      known += row.length;
      const padding = Array.from({ length: pad4(P) - row.length }, (_, i) =>
        row.length + i < pad4(row.length) ? 0 : UNTOUCHED,
      );
      rowPairs.push(...row, ...padding);
    }
    const behind = (list: number[], { length }: Numbers) => Array.from({ length }, (_, i) => list[i] ?? UNTOUCHED);
    return {
      counts: exactly([slotList.length, pairs.length]),
      distinct: exactly(behind(slotList.flat(), distinct)),
      blockPairs: exactly(behind(pairs.flat(), blockPairs)),
      rowPairs: exactly(behind(rowPairs, out)),
      rowSlots: exactly(rowSlots),
      returns: exactly([known]),
    };
  },
});

const BLOCK_PAIRS = 12;

const gatherPairs = kernelCase({
  kernel: "gatherPairs",
  tolerance: 0,
  shapes: cross({ A: ATTENTION_FACTORS, P: [1, 4, 5, 45] }),
  buffers: ({ A, P }, random) => ({
    H: output(pad4(A) * pad4(P)),
    c: output(pad4(P)),
    Z: input(random.values(BLOCK_PAIRS * pad4(A))),
    C: input(random.values(BLOCK_PAIRS)),
    rowPairs: input(Uint32Array.from({ length: pad4(P) }, () => random.int(BLOCK_PAIRS))),
  }),
  call: ({ kernels, at, shape: { A, P } }) =>
    kernels.gatherPairs(at.H, at.c, at.Z, at.C, at.rowPairs, pad4(A), pad4(P)),
  twin: ({ Z, C, rowPairs }, { A, P }) => ({
    H: exactly(
      Array.from({ length: pad4(A) * pad4(P) }, (_, i) => {
        return Z[rowPairs[i % pad4(P)]! * pad4(A) + Math.floor(i / pad4(P))]!;
      }),
    ),
    c: exactly(Array.from(rowPairs, (pair) => C[pair]!)),
  }),
});

const scatterPairs = kernelCase({
  kernel: "scatterPairs",
  tolerance: 1e-6,
  shapes: cross({ A: ATTENTION_FACTORS, P: [1, 3, 4, 45] }),
  buffers: ({ A, P }, random) => ({
    dZ: inOut(random.values(BLOCK_PAIRS * pad4(A))),
    dC: inOut(random.values(BLOCK_PAIRS)),
    HT: input(random.values(P * pad4(A))),
    dc: input(random.values(P)),
    rowPairs: input(Uint32Array.from({ length: P }, () => random.int(BLOCK_PAIRS))),
  }),
  call: ({ kernels, at, shape: { A, P } }) => kernels.scatterPairs(at.dZ, at.dC, at.HT, at.dc, at.rowPairs, pad4(A), P),
  twin: ({ rowPairs, ...values }, { A }) =>
    multilinear(values, ({ dZ, dC, HT, dc }) => {
      const [toZ, toC] = [Array.from(dZ), Array.from(dC)];
      rowPairs.forEach((pair, p) => {
        toC[pair]! += dc[p]!;
        for (let a = 0; a < pad4(A); a++) toZ[pair * pad4(A) + a]! += HT[p * pad4(A) + a]!;
      });
      return { dZ: toZ, dC: toC };
    }),
});

export const cases = {
  pairwiseForward,
  pairwiseBackward,
  pairwiseDropout,
  pairwiseKeptBackward,
  pairwiseRecordGradient,
  linearForward: linear,
  gatherSlots,
  knownPairs,
  pairProducts: pairProductsCase,
  productsForward,
  productsBackward,
  distinctBegin,
  distinctPairs,
  gatherPairs,
  scatterPairs,
  attentionForward: attentionForwardCase,
  attentionBackward: attentionBackwardCase,
  softmax: softmaxCase,
  softmaxBackward: softmaxBackwardCase,
  fieldForward: fieldForwardCase,
  fieldBackward: fieldBackwardCase,
  matmul,
  matmulTransposedA,
  padPairs,
  concatForward,
  concatBackward,
  samplePairs,
  networkBegin,
  networkForward,
  networkBackward,
  networkEnd,
  integratedGradients: integratedGradientsCase,
  ...tableCases,
  ...togetherCases,
  ...maskedCases,
  batchNormStatistics,
  batchNormMoving,
  batchNormForward,
  batchNormBackward,
  batchNormEnd,
  lossOfRows,
  metricSums,
  allFinite,
  optimizerStep,
  optimizerInit,
  squaredNorm,
  stepIsFinite,
  touchRows,
  sortOccurrences,
  beginScatter,
  scatterRow,
  scatteredGradient,
};
