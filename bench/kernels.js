import { readFileSync } from "node:fs";
import { Bench } from "tinybench";
import { randomFrom, sum } from "./data.js";
import { leastSeconds } from "./limits.js";
import { digits, percent } from "./time.js";

/*
 * Every kernel by itself, on buffers that lie in a second-level cache, through a build without assertions. The shapes are
 * those of one row of Frappe: M = 10 slots, P = 45 pairs, A = 8, KF = 16, a network of 100, 75, 50 on 16 rows.
 *
 * Operations and bytes are those of a call, on paper; what it loads and stores counts once.
 */

const M = 10;
const P = 45;
const Pp = 48;
const A = 8;
const KF = 16;
const BATCH = 2048;
/** Pairs with the two slots of a candidate. */
const OWN = 17;
/** Lanes of masked.ts. */
const MASKED_LANES = 64;

/** Fields of the struct that the kernels read, from the list that the program has. */
export function descFields(path) {
  const text = readFileSync(path, "utf8");
  const list = (name) =>
    [...new RegExp(`const ${name}\\b[^[]*\\[([^\\]]*)`).exec(text)[1].matchAll(/\w+/g)].map(String);
  const floats = list("FLOATS");
  return list("FIELDS").map((name) => ({ name, type: floats.includes(name) ? "f32" : "u32" }));
}

/** Memory that is handed out from the bottom up, filled with numbers around 0. */
class Buffers {
  #random = randomFrom(3);
  #end;
  #fields;

  constructor(memory, base, fields) {
    this.memory = memory;
    this.#end = base;
    this.#fields = fields;
  }

  take(bytes) {
    const at = Math.ceil(this.#end / 64) * 64;
    this.#end = at + bytes;
    if (this.#end > this.memory.buffer.byteLength) throw new Error("bench: kernel memory is too small");
    return at;
  }

  /** Distinct floats in (low, high). */
  floats(count, low = -0.5, high = 0.5) {
    const at = this.take(4 * count);
    const view = new Float32Array(this.memory.buffer, at, count);
    for (let i = 0; i < count; i++) view[i] = low + (high - low) * this.#random();
    return at;
  }

  words(values) {
    const at = this.take(4 * values.length);
    new Uint32Array(this.memory.buffer, at, values.length).set(values);
    return at;
  }

  integers(count, below) {
    return this.words(Array.from({ length: count }, () => Math.floor(below * this.#random())));
  }

  /** A Desc with these fields; the others are 0. */
  desc(values) {
    const at = this.take(4 * this.#fields.length);
    const view = new DataView(this.memory.buffer);
    for (const [name, value] of Object.entries(values)) {
      const index = this.#fields.findIndex((field) => field.name === name);
      if (index < 0) throw new Error(`bench: the struct has no field ${name}`);
      if (this.#fields[index].type === "f32") view.setFloat32(at + 4 * index, value, true);
      else view.setUint32(at + 4 * index, value, true);
    }
    return at;
  }
}

/**
 * What is measured: a call, its operations and its bytes. `kernel` is an export of assembly/kernels/index.ts.
 *
 * @returns {{ kernel: string, shape: string, flops: number, bytes: number, call: () => unknown }[]}
 */
export function kernelCases(kernels, memory, fields, K) {
  const b = new Buffers(memory, kernels.heapBase(), fields);
  const rowFloats = K + 4;
  const features = 256;
  const lane = 4 * K;
  const table = b.floats((features + 1) * rowFloats);
  const ids = b.integers(M, features);
  const base = { n: features, M, K, Kp: K, A, Ap: A, KF, KFp: KF, rowFloats, table, P, fieldRows: P, preScale: 1 };
  const pairs = [];
  for (let s = 0, p = 0; s < M; s++) for (let t = s + 1; t < M; t++, p++) pairs.push(s * lane, t * lane, p * lane);
  for (let p = P; p < Pp; p++) pairs.push(M * lane, M * lane, P * lane);
  const pairList = b.words(pairs);
  const slots = b.floats((M + 1) * K);
  const slotGrad = b.floats((M + 1) * K);
  const fieldPairs = b.floats((P + 1) * K);
  const dF = b.floats((P + 1) * K);
  const products = b.floats(Pp * K);
  const [scores, weights, dT] = [b.floats(Pp), b.floats(Pp, 0, 0.04), b.floats(Pp)];
  const hidden = b.floats(Pp * A);
  const hiddenT = b.floats(Pp * A);
  const mask = b.take(2 * Pp * K);
  const [attnW, attnWT, dWT] = [b.floats(K * A), b.floats(K * A), b.floats(K * A)];
  const [attnB, attnH, db, dh] = [b.floats(A), b.floats(A), b.floats(A), b.floats(A)];
  const [fieldU, fieldD] = [b.floats(M * KF), b.floats(KF * K)];
  const [dU, dD] = [b.floats(M * KF), b.floats(KF * K)];
  const fieldOfSlot = b.words(Array.from({ length: M }, (_, s) => s));
  const [S, z, g] = [b.floats(rowFloats), b.floats(rowFloats), b.floats(rowFloats)];

  const fm = b.desc({ ...base, bias: b.floats(4) });
  const attended = b.desc({
    ...base,
    attnW,
    attnWT,
    attnB,
    attnH,
    logitScale: 0.1,
    fieldU,
    fieldD,
    fieldPairs,
    fieldOfSlot,
    pairs: pairList,
    active: pairList,
    activeCount: P,
  });
  const unknownIds = b.words(Array.from({ length: M }, (_, s) => (s === 3 ? features : s)));
  const knownList = b.take(12 * Pp);
  const sampling = b.desc({
    ...base,
    fieldPairs,
    pairs: pairList,
    sampled: b.take(12 * Pp),
    sampleKeys: b.take(16 * P),
    sampleCount: 22,
    sampleNoise: 1,
    seed: 7,
  });

  const occurrences = 32;
  const occurrencesOf = {
    ...base,
    rowSum: b.floats(features * rowFloats),
    rowDy: b.floats(features),
    occIndex: b.integers(occurrences, features),
  };
  const recordDesc = b.desc({ ...occurrencesOf, keepProducts: 65536 });
  const keptDesc = b.desc({ ...occurrencesOf, keepProducts: Math.round(0.9 * 65536) });

  // A batch of labels and scores, and what sorts its occurrences.
  const labels = b.words(Array.from({ length: BATCH }, (_, i) => (i % 3 ? 0x3f800000 : 0xbf800000)));
  const order = b.words(Array.from({ length: BATCH }, (_, i) => i));
  const loss = b.desc({ labels, order, yHat: b.floats(BATCH, -2, 2), count: BATCH, loss: 1, dyScale: 1 });
  const dy = b.floats(BATCH);
  const manyFeatures = 5382;
  const touched = b.take(4 * manyFeatures);
  const batchIds = b.integers(BATCH * M, manyFeatures);
  const occurrenceDesc = b.desc({
    model: 2,
    n: manyFeatures,
    M,
    count: BATCH,
    order,
    rowPtr: b.words(Array.from({ length: BATCH + 1 }, (_, r) => r * M)),
    features: batchIds,
    slotOf: b.integers(manyFeatures + 1, 1),
    touched,
    occStart: b.take(4 * (manyFeatures + 1)),
    occIndex: b.take(4 * BATCH * M),
  });

  // FM's gradients summed without a sort: short records.
  const shortKp = 8;
  const shortFloats = shortKp + 4;
  const scatterDesc = b.desc({
    n: manyFeatures,
    Kp: shortKp,
    rowFloats: shortFloats,
    count: BATCH,
    labels,
    order,
    rowPtr: b.words(Array.from({ length: BATCH + 1 }, (_, r) => r * M)),
    features: b.integers(BATCH * M, manyFeatures),
    slotOf: b.integers(manyFeatures + 1, 1),
    touched: b.take(4 * (manyFeatures + 1)),
    featureGrad: b.floats((manyFeatures + 1) * shortFloats),
  });

  // Optimizers: one record's worth times 64, in one block with its states.
  const floats = 64 * K;
  const theta = b.floats(floats);
  const state = b.floats(floats, 1, 2) - theta;
  const state2 = b.floats(floats, 1, 2) - theta;
  const gradient = b.floats(floats, -1e-6, 1e-6);
  const optimizer = (kind) =>
    b.desc({
      optimizer: kind,
      lr: 1e-6,
      momentum: 0.9,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      correction1: 1,
      correction2: 1,
      ftrlBeta: 1,
      state,
      state2,
    });
  const RULES = [
    ["sgd", 0, 5, 12],
    ["momentum", 1, 7, 20],
    ["adagrad", 2, 9, 20],
    ["adam", 3, 17, 28],
    ["ftrl", 4, 20, 28],
  ].map(([rule, kind, flops, bytes]) => ({ rule, desc: optimizer(kind), flops, bytes }));

  // Networks
  const rows = 16;
  const widths = [K * M, 100, 76, 52, 4];
  const layerTable = b.take(32 * 4);
  const x = b.floats(rows * widths[0]);
  const dx = b.floats(rows * widths[0]);
  let weightCount = 0;
  const denseStart = b.take(16);
  const layers = widths.slice(1).map((columns, l) => {
    const count = widths[l] * columns;
    weightCount += count;
    return { rows: widths[l], columns, kernel: b.floats(count, -0.05, 0.05), bias: b.floats(columns) };
  });
  const transposes = layers.map((layer) => b.floats(layer.rows * layer.columns));
  const [activations, gradients] = [layers, layers].map((all) => all.map(({ columns }) => b.floats(rows * columns)));
  const chunkOffsets = layers.map((_, l) =>
    sum(layers.slice(0, l).map((layer) => 4 * (layer.rows + 1) * layer.columns)),
  );
  const chunk = b.floats(weightCount + sum(widths), -1e-6, 1e-6);
  const grad = b.take(layers.at(-1).bias + 4 * 4 - denseStart);
  new Uint32Array(memory.buffer, layerTable, 8 * layers.length).set(
    layers.flatMap((layer, l) => [
      layer.rows,
      layer.columns,
      layer.kernel,
      layer.bias,
      transposes[l],
      chunkOffsets[l],
      activations[l] - x,
      gradients[l] - x,
    ]),
  );
  const network = b.desc({ layers: layerTable, layerCount: layers.length, dense: denseStart, grad });
  const xBytes = 4 * widths[0];
  const networkShape = `${rows} rows, ${widths[0]}·100·75·50·1`;

  // Batch norm
  // A row's share of the pairs of its block.
  const rowPairs = b.words(Array.from({ length: Pp }, (_, p) => (p < P ? p + 1 : 0)));
  const [blockHidden, blockScores] = [b.floats((P + 1) * A), b.floats(P + 1)];
  const TABLE_BITS = 12;
  const block = b.take(16);
  const distinct = b.desc({
    ...base,
    active: pairList,
    activeCount: P,
    tableShift: 32 - TABLE_BITS,
    sTables: b.take(8 * 2 ** TABLE_BITS) - block,
    sDistinct: b.take(12 * (M + 1)) - block,
    sBlockPairs: b.take(12 * (P + 1)) - block,
  });
  const rowPlaces = b.words(Array.from({ length: M }, (_, s) => (s * lane) | (s % 2)));
  const newSlots = b.desc({ ...base, bias: b.floats(4), recordBytes: 4 * rowFloats });
  const [rowNumbers, rowOffsets] = [b.take(4 * Pp), b.take(4 * M)];
  kernels.distinctBegin(distinct, block);

  // A block of one row with dropout of its products.
  const pairTerms = b.floats(Pp * K);
  const masked = b.floats(Pp * MASKED_LANES);
  const maskedLanes = Math.min(K, MASKED_LANES);
  const firstPairs = b.take(4 * (P + 2));
  const row = b.take(8);
  new Uint32Array(memory.buffer, row, 2).set([0, P]);
  const dropping = b.desc({
    ...base,
    model: 2,
    keepProducts: Math.round(0.9 * 65536),
    sShared: row - block,
    sScores: b.take(4 * Pp) - row,
    sDropped: b.floats(Pp) - row,
    sRowPairs: rowPairs - row,
    sFirst: firstPairs - block,
    sOccurrences: b.take(32 * P) - block,
    sMasks: b.take(16 * Math.ceil(K / 128) * P) - block,
  });
  // Pair 0 is the padding.
  const firstOf = firstPairs + 4;
  kernels.linkPairs(dropping, 0, 1, block, P + 1);

  // Tables of smaller numbers, and the best of many scores.
  const small = (format, lane) =>
    b.desc({
      n: features,
      Kp: K,
      tableFormat: format,
      recordBytes: lane * K + 16,
      table: b.take((features + 1) * (lane * K + 16)),
    });
  const [half, byte] = [small(1, 2), small(2, 1)];
  const context = b.floats(2 * K);
  const [four, fourProducts, fourScores] = [b.floats(4 * M * K), b.floats(4 * OWN * K), b.floats(4 * OWN)];
  const ones = b.words(Array(4).fill(0x3f800000));
  const fourSums = b.floats(400, -1e-3, 1e-3);
  const oneRow = b.words([0, M]);
  const terms = b.take(8 * M);
  const [CANDIDATES, BEST] = [1000, 100];
  const heap = b.take(8 * BEST);
  const candidates = b.floats(CANDIDATES);

  const count = 256;
  const statistics = b.floats(4 * K, 0.5, 1.5);
  const norm = b.desc({
    ...base,
    count,
    batchNorm: statistics,
    rowZ: b.floats(count * rowFloats),
    movingMean: b.floats(K),
    movingVariance: b.floats(K, 0.5, 1),
    gamma: b.floats(K),
    beta: b.floats(K),
    dense: denseStart,
    grad,
  });
  const u = b.floats(count * rowFloats);
  const du = b.floats(count * rowFloats);
  const threshold = Math.round(0.8 * 65536);
  const sums = b.floats(12, 0, 0);
  const lossGradients = b.floats(BATCH);

  const of = (kernel, shape, flops, bytes, call) => ({ kernel, shape, flops, bytes, call });
  const k = kernels;
  return [
    of("pairwiseForward", `M ${M}, K ${K}`, 3 * M * K + 3 * K, 4 * (M * K + K), () =>
      k.pairwiseForward(S, 0, fm, ids, 0, M),
    ),
    of("pairwiseBackward", `K ${K}`, K, 8 * K, () => k.pairwiseBackward(S, 0, 1.0000001, K)),
    of("pairwiseRecordGradient", `${occurrences} rows, K ${K}`, (occurrences + 2) * K, 4 * K * (occurrences + 2), () =>
      k.pairwiseRecordGradient(g, table, recordDesc, 0, occurrences),
    ),
    of("pairwiseDropout", `K ${K}`, 2 * K, 12 * K, () => k.pairwiseDropout(S, z, 9, threshold, K)),
    of("pairwiseKeptBackward", `K ${K}`, K, 8 * K, () => k.pairwiseKeptBackward(S, 1.0000001, K)),
    of(
      "pairwiseRecordGradient, dropout",
      `${occurrences} rows, K ${K}`,
      (2 * occurrences + 3) * K,
      4 * K * (occurrences + 2),
      () => k.pairwiseRecordGradient(g, table, keptDesc, 0, occurrences),
    ),
    of("linearForward", `M ${M}`, M, 8 * M, () => k.linearForward(fm, ids, 0, M)),
    of("gatherSlots", `M ${M}, K ${K}`, 0, 8 * M * K, () => k.gatherSlots(slots, fm, ids, 0)),
    of("knownPairs", `P ${P}`, 0, 24 * P, () => k.knownPairs(knownList, attended, unknownIds)),
    of("padPairs", "45 to 48", 0, 36, () => k.padPairs(knownList, P, attended)),
    of("productsForward", `P ${P}, K ${K}`, 3 * P * K, 4 * K * (M + 2 * P), () =>
      k.productsForward(products, scores, attended, fieldPairs, slots, 0, pairList, Pp),
    ),
    of("productsForward, terms", `P ${P}, K ${K}`, 2 * P * K, 4 * K * (M + 3 * P), () =>
      k.productsForward(products, scores, attended, fieldPairs, slots, pairTerms, pairList, Pp),
    ),
    of("pairProducts", `P ${P}, K ${K}`, P * K, 4 * K * (M + P), () =>
      k.pairProducts(products, slots, pairList, P, K, lane),
    ),
    of("productsBackward", `P ${P}, K ${K}`, 9 * P * K, 4 * K * (4 * P + 4 * M), () =>
      k.productsBackward(slotGrad, dF, fieldPairs, slots, products, scores, false, pairList, P, K, lane, 0),
    ),
    of("concatForward", `P ${P}, K ${K}`, 2 * P * K, 12 * P * K, () =>
      k.concatForward(dF, attended, fieldPairs, slots, weights, 0, pairList, P, 1),
    ),
    of("concatBackward", `P ${P}, K ${K}`, 3 * P * K, 12 * P * K, () =>
      k.concatBackward(dT, attended, fieldPairs, slots, dF, 0, pairList, P, 1),
    ),
    of("samplePairs", `22 of ${P}, K ${K}`, 2 * P * K, 4 * P * K, () => k.samplePairs(sampling)),
    of("attentionForward", `P ${P}, A ${A}`, 5 * P * A, 8 * P * A, () =>
      k.attentionForward(weights, hidden, attended, P),
    ),
    of("attentionBackward", `P ${P}, A ${A}`, 6 * P * A, 8 * P * A, () =>
      k.attentionBackward(db, dh, hidden, hiddenT, scores, attended, P),
    ),
    of("softmax", `P ${P}`, 5 * P, 8 * P, () => k.softmax(weights, P)),
    of("softmaxBackward", `P ${P}`, 4 * P, 12 * P, () => k.softmaxBackward(dT, weights, P)),
    of("fieldForward", `P ${P}, K ${K}, KF ${KF}`, 3 * P * K * KF, 4 * K * (P + KF), () => k.fieldForward(attended)),
    of("fieldBackward", `P ${P}, K ${K}, KF ${KF}`, 4 * P * K * KF, 4 * K * (P + 3 * KF), () =>
      k.fieldBackward(dU, dD, dF, attended),
    ),
    of("matmul", `[${Pp} × ${K}] [${K} × ${A}]`, 2 * Pp * K * A, 4 * (Pp * K + K * A + Pp * A), () =>
      k.matmul(hidden, products, attnW, Pp, K, A, 4 * A, 4 * K, 4 * A),
    ),
    of("matmulTransposedA", `[${A} × ${P}] [${P} × ${K}]`, 2 * P * K * A, 4 * (P * K + 2 * K * A + P * A), () =>
      k.matmulTransposedA(dWT, hidden, products, P, A, K, 4 * K, 4 * A, 4 * K, true),
    ),
    of("networkBegin", networkShape, 0, 8 * weightCount, () => k.networkBegin(network)),
    of("networkForward", networkShape, 2 * rows * weightCount, 4 * (weightCount + rows * widths[0]), () =>
      k.networkForward(network, x, x, xBytes, rows),
    ),
    of("networkBackward", networkShape, 4 * rows * weightCount, 4 * (3 * weightCount + 2 * rows * widths[0]), () =>
      k.networkBackward(network, x, x, dx, xBytes, rows, dy, chunk),
    ),
    of("networkEnd", networkShape, 0, 8 * weightCount, () => k.networkEnd(network, chunk)),
    of("batchNormStatistics", `${count} rows, K ${K}`, 5 * count * K, 8 * count * K, () => k.batchNormStatistics(norm)),
    of("batchNormMoving", `K ${K}`, 3 * K, 16 * K, () => k.batchNormMoving(norm)),
    of("batchNormForward", `K ${K}`, 4 * K, 24 * K, () => k.batchNormForward(z, S, norm)),
    of("batchNormBackward", `${count} rows, K ${K}`, 10 * count * K, 20 * count * K, () =>
      k.batchNormBackward(u, du, norm),
    ),
    of("dropoutMasks", `P ${P}, K ${K}`, 0, 2 * P * K, () => k.dropoutMasks(mask, 11, P, K / 16, threshold)),
    of("dropout", `${K} lanes`, K, 8 * K, () => k.dropout(z, S, K, 11, threshold)),
    of("lossOfRows, logistic", `${BATCH} rows`, 0, 16 * BATCH, () => k.lossOfRows(dy, loss, 0, BATCH)),
    of("lossOfRows", `${BATCH} rows`, 0, 12 * BATCH, () => k.lossOfRows(lossGradients, loss, 0, BATCH)),
    of("metricSums", `${BATCH} rows`, 0, 12 * BATCH, () => k.metricSums(sums, loss, -1, 1, 0, 0)),
    of("allFinite", `${floats} floats`, 2 * floats, 4 * floats, () => k.allFinite(theta, floats)),
    of("squaredNorm, in f64", `${floats} floats`, 4 * floats, 8 * floats, () =>
      k.squaredNorm(theta, gradient, floats, 0),
    ),
    of("optimizerInit, adagrad", `${floats} floats`, 0, 4 * floats, () =>
      k.optimizerInit(RULES[2].desc, theta, floats),
    ),
    ...RULES.map(({ rule, desc, flops, bytes }) =>
      of(`optimizerStep, ${rule}`, `${floats} floats`, flops * floats, bytes * floats, () =>
        k.optimizerStep(desc, theta, gradient, floats, 0, 1),
      ),
    ),
    of("distinctBegin", `tables of ${2 ** TABLE_BITS}`, 0, 8 * 2 ** TABLE_BITS, () => k.distinctBegin(distinct, block)),
    of("distinctPairs", `M ${M}, P ${P}`, 0, 28 * (M + P), () =>
      k.distinctPairs(rowNumbers, rowOffsets, distinct, block, ids, 0),
    ),
    of("gatherPairs", `P ${P}, A ${A}`, 0, 8 * P * (A + 1), () =>
      k.gatherPairs(hidden, scores, blockHidden, blockScores, rowPairs, A, Pp),
    ),
    of("scatterPairs", `P ${P}, A ${A}`, P * (A + 1), 12 * P * (A + 1), () =>
      k.scatterPairs(blockHidden, blockScores, hiddenT, dT, rowPairs, A, P),
    ),
    of("linkPairs", `P ${P}`, 0, 16 * P, () => k.linkPairs(dropping, 0, 1, block, P + 1)),
    of("maskedScores", `P ${P}, K ${K}`, P * K, 4 * P * K, () =>
      k.maskedScores(dropping, block, firstOf, P, pairTerms),
    ),
    of("maskedRowScores", `P ${P}, K ${K}`, P * K, 6 * P * K, () =>
      k.maskedRowScores(scores, dropping, pairTerms, mask, P),
    ),
    of("maskedGradients", `P ${P}, ${MASKED_LANES} lanes`, P * MASKED_LANES, 4 * P * MASKED_LANES, () =>
      k.maskedGradients(masked, dropping, block, firstOf, P, 0),
    ),
    of("maskedRowGradients", `P ${P}, ${maskedLanes} lanes`, 0, 6 * P * maskedLanes, () =>
      k.maskedRowGradients(masked, dropping, scores, mask, P, maskedLanes),
    ),
    of("stepIsFinite", `${floats} floats`, 3 * floats, 8 * floats, () => k.stepIsFinite(theta, gradient, floats, 1)),
    of("gatherNew", `M ${M}, K ${K}, half are new`, (M * K) / 2, 4 * M * K, () =>
      k.gatherNew(slots, newSlots, rowPlaces, ids, 0),
    ),
    of("gatherAt, f16", `M ${M}, K ${K}`, 0, 6 * M * K, () => k.gatherAt(slots, half, 0, ids, 0, M)),
    of("gatherAt, int8", `M ${M}, K ${K}`, M * K, 5 * M * K, () => k.gatherAt(slots, byte, 0, ids, 0, M)),
    of("pairwiseFrom, f16", `M ${M}, K ${K}`, 3 * M * K + 3 * K, 2 * M * K + 8 * K, () =>
      k.pairwiseFrom(0, 0, context, half, ids, 0, M),
    ),
    of("pairwiseFrom, int8", `M ${M}, K ${K}`, 4 * M * K + 3 * K, M * K + 8 * K, () =>
      k.pairwiseFrom(0, 0, context, byte, ids, 0, M),
    ),
    of("pairwiseNorms, f16", `M ${M}, K ${K}`, M * K + 2 * K, 2 * M * K, () =>
      k.pairwiseNorms(sums, 0, 0, half, oneRow, ids, 0, 1),
    ),
    of("pairwiseNorms, int8", `M ${M}, K ${K}`, 2 * M * K + 2 * K, M * K, () =>
      k.pairwiseNorms(sums, 0, 0, byte, oneRow, ids, 0, 1),
    ),
    of("linearFrom, f16", `M ${M}`, M, 8 * M, () => k.linearFrom(0, half, ids, 0, M)),
    of("linearTerms, f16", `M ${M}`, M, 12 * M, () => k.linearTerms(terms, half, ids, 0, M)),
    of("pairTerms, f16", `M ${M}, K ${K}`, 2 * M * K, 2 * M * K, () => k.pairTerms(terms, half, 0, ids, 0, 0, M)),
    of("gatherFour, f16", `4 rows, K ${K}`, 4 * K, 24 * K, () => k.gatherFour(four, half, ids, ones)),
    of("productsOfFour", `4 rows of ${OWN} pairs, K ${K}`, 12 * OWN * K, 4 * K * (4 * M + OWN + 4 * OWN), () =>
      k.productsOfFour(fourProducts, fourScores, attended, four, pairList, OWN),
    ),
    of("concatOfFour", `4 rows, K ${K}`, 12 * K, 52 * K, () =>
      k.concatOfFour(fourProducts, ones, attended, four, pairList),
    ),
    of("softmaxOfFour", `4 rows of ${OWN} pairs`, 20 * OWN, 32 * OWN, () =>
      k.softmaxOfFour(fourScores, sums, OWN, 0.5, 3),
    ),
    of("networkInputs", `4 rows, ${K}·100`, 8 * K * 100, 4 * (4 * K + K * 100 + 800), () =>
      k.networkInputs(fourSums, network, four, 0, K),
    ),
    of("topKeep", `${BEST} of ${CANDIDATES}`, 0, 4 * CANDIDATES, () =>
      k.topKeep(heap, 0, BEST, candidates, CANDIDATES, 0),
    ),
    of("topSort", `${BEST}`, 0, 8 * BEST, () => k.topSort(heap, BEST)),
    of("replaceUnknown", `${BATCH} rows of ${M}`, 0, 8 * BATCH * M, () =>
      k.replaceUnknown(batchIds, BATCH * M, manyFeatures),
    ),
    of("touchRows", `${BATCH} rows`, 0, 20 * BATCH, () => k.touchRows(occurrenceDesc, 0, BATCH)),
    of("sortOccurrences", `${BATCH} rows of ${M}`, 0, 20 * BATCH * M, () => k.sortOccurrences(occurrenceDesc)),
    of("beginScatter", `${BATCH} rows`, 0, 16 * BATCH, () => k.beginScatter(scatterDesc)),
    of("scatterRow", `M ${M}, K ${shortKp}`, M * shortFloats, 8 * M * shortFloats, () =>
      k.scatterRow(scatterDesc, S, 0.5, ids, 0, M),
    ),
    of("scatteredGradient", `K ${shortKp}`, 2 * shortKp, 12 * shortFloats, () =>
      k.scatteredGradient(g, table, scatterDesc, 0),
    ),
  ];
}

/**
 * Kernels that no case measures: what batchNormEnd copies is two vectors a batch, tableBegin runs once a model,
 * integratedGradients once an explanation, spreadSlot once a slot of a ranking; networkStart and sumOfFour are a few vectors
 * for four candidates.
 */
export const UNMEASURED = [
  "integratedGradients",
  "tableBegin",
  "spreadSlot",
  "sumOfFour",
  "networkStart",
  "batchNormEnd",
];

/** Kernels that decide, hash or call exp in f64 rather than stream: neither limit says anything of them. */
const SCALAR = [
  "linearForward",
  "knownPairs",
  "padPairs",
  "samplePairs",
  "softmax",
  "softmaxOfFour",
  "dropoutMasks",
  "dropout",
  "lossOfRows",
  "metricSums",
  "squaredNorm",
  "touchRows",
  "sortOccurrences",
  "beginScatter",
  "distinctPairs",
  "linkPairs",
  "maskedScores",
  "linearFrom",
  "linearTerms",
  "pairTerms",
  "topKeep",
  "topSort",
];

/**
 * @param {string} path the kernels without assertions
 * @param {string} abi  src/wasm/abi.ts
 * @param {import("./limits.js").Limits} limits
 */
export async function benchKernels(path, abi, limits, { K = 256, time = 60 } = {}) {
  const memory = new WebAssembly.Memory({ initial: 256, maximum: 65536 });
  const { instance } = await WebAssembly.instantiate(readFileSync(path), { env: { memory } });
  const cases = kernelCases(instance.exports, memory, descFields(abi), K);
  const bench = new Bench({ time, warmupTime: time / 3, warmupIterations: 5, throws: true });
  const calls = cases.map(({ call }) => {
    // A sample is a few microseconds at least, so that the clock does not matter.
    const begin = performance.now();
    for (let i = 0; i < 100; i++) call();
    return Math.max(1, Math.ceil(0.02 / ((performance.now() - begin) / 100)));
  });
  cases.forEach(({ kernel, call }, i) => {
    const times = calls[i];
    bench.add(kernel, () => {
      for (let n = 0; n < times; n++) call();
    });
  });
  await bench.run();
  return cases.map(({ kernel, shape, flops, bytes }, i) => {
    const { p50, mad } = bench.tasks[i].result.latency;
    const seconds = p50 / 1000 / calls[i];
    const least = leastSeconds(flops, bytes, limits.arithmetic, limits.cached);
    const isScalar = SCALAR.includes(kernel.split(",")[0]);
    return {
      kernel,
      shape,
      nanoseconds: 1e9 * seconds,
      spread: mad / p50,
      gflops: flops / seconds / 1e9,
      gbs: bytes / seconds / 1e9,
      fraction: isScalar ? Number.NaN : least.seconds / seconds,
      by: isScalar ? "scalar" : least.by,
    };
  });
}

export const KERNEL_HEAD = ["kernel", "shape of a call", ">ns", ">± MAD", ">GFLOP/s", ">GB/s", ">of limit", "limit"];

/** @param {Awaited<ReturnType<typeof benchKernels>>} results */
export const kernelRows = (results) =>
  results.map(({ kernel, shape, nanoseconds, spread, gflops, gbs, fraction, by }) => {
    const flops = gflops > 0 ? digits(gflops) : "–";
    return [kernel, shape, digits(nanoseconds), percent(spread), flops, digits(gbs), percent(fraction), by];
  });
