/*
 * The kernels of tables in every format, and of the best of many scores; see cases.ts.
 */
import { TABLE } from "../../src/wasm/abi.js";
import { decodeRecord, recordSizes, type TableFormat } from "../reference/index.js";
import { type Expected, exactly } from "./compare.js";
import { inOut, input, output } from "./guards.js";
import { kernelCase } from "./kernel-case.js";
import type { Random } from "./random.js";
import { cross, KERNEL_FACTORS as FACTORS, pad4, SLOTS } from "./sweep.js";

const FORMATS = ["F32", "F16", "I8"] as const satisfies TableFormat[];
export const FEATURES = 7;
const NONE = new Float32Array(0);

const words = (bytes: Uint8Array): Uint32Array => new Uint32Array(bytes.buffer);
const bytesOf = ({ buffer, byteOffset, byteLength }: Uint32Array) => new Uint8Array(buffer, byteOffset, byteLength);

/** A 16-bit float between 2^-24 and 4, of either sign; some are subnormal. */
function half(random: Random): number {
  return (random.int(2) << 15) | (random.pick([0, 8, 12, 13, 14, 15, 16]) << 10) | (1 + random.int(1023));
}

/** n records and the record n of zeros. `derived`: with what tableBegin makes. */
export function smallTable(random: Random, format: TableFormat, K: number, derived = true): Uint32Array {
  const Kp = pad4(K);
  const { lane, record } = recordSizes(format, Kp);
  const bytes = new Uint8Array((FEATURES + 1) * record);
  for (let j = 0; j <= FEATURES; j++) {
    const view = new DataView(bytes.buffer, j * record, record);
    const [tail, known] = [lane * Kp, j < FEATURES];
    for (let k = 0; known && k < K; k++) {
      if (format === "F32") view.setFloat32(4 * k, random.value(), true);
      else if (format === "F16") view.setUint16(2 * k, half(random), true);
      else view.setInt8(k, random.int(255) - 127);
    }
    if (format === "F32") {
      if (known) view.setFloat32(tail, random.value(), true);
      continue;
    }
    if (format === "I8" && known) view.setFloat32(tail, random.value(0.001, 0.02), true);
    if (known) view.setUint16(tail + 6, half(random), true);
    if (!derived) continue;
    const { v, w } = decodeRecord(bytes, format, K, j);
    if (format === "F16") view.setFloat32(tail, 1, true);
    view.setFloat32(
      tail + 8,
      v.reduce((sum, x) => sum + x * x, 0),
      true,
    );
    view.setFloat32(tail + 12, w, true);
  }
  return words(bytes);
}

const someFeatures = (random: Random, slots: number): Uint32Array =>
  Uint32Array.from({ length: slots }, () => random.int(FEATURES + 1));

export const tableDesc = (format: TableFormat, K: number, table: number) => ({
  n: FEATURES,
  table,
  Kp: pad4(K),
  tableFormat: TABLE[format],
  rowFloats: pad4(K) + 4,
  recordBytes: recordSizes(format, pad4(K)).record,
});

export const shapes = cross({ format: FORMATS, K: [...FACTORS, 20, 36], slots: [0, ...SLOTS], oneHot: [true, false] });
export type Shape = Omit<(typeof shapes)[number], "slots"> & { slots: number };

export const rowBuffers = ({ format, K, slots, oneHot }: Shape, random: Random) => ({
  table: input(smallTable(random, format, K)),
  features: input(someFeatures(random, slots)),
  values: input(oneHot ? NONE : random.values(slots)),
});

/** v x and w x of each slot. */
export function decoded(
  { table, features, values }: { table: Uint32Array; features: Uint32Array; values: Float32Array },
  { format, K }: Shape,
) {
  return Array.from(features, (j, s) => {
    const { v, w } = decodeRecord(bytesOf(table), format, K, j);
    const x = values.length ? values[s]! : 1;
    return { u: v.map((lane) => lane * x), w: w * x };
  });
}

export const total = (terms: number[]) => terms.reduce((sum, term) => sum + term, 0);
export const size = (terms: number[]) => terms.reduce((sum, term) => sum + Math.abs(term), 0);
/** Sums of terms with the sums of their sizes. */
export const summed = (lists: number[][]): Expected => ({ values: lists.map(total), scale: lists.map(size) });

const linearFrom = kernelCase({
  kernel: "linearFrom",
  tolerance: 5e-7,
  shapes,
  buffers: (shape, random) => ({ ...rowBuffers(shape, random), start: input(random.values(1)) }),
  desc: ({ format, K }, at) => tableDesc(format, K, at.table),
  call: ({ kernels, memory, at, shape: { slots, oneHot } }) => {
    const start = new Float32Array(memory.buffer, at.start, 1)[0]!;
    return kernels.linearFrom(start, at.desc, at.features, oneHot ? 0 : at.values, slots);
  },
  twin: (values, shape) => ({ returns: summed([[values.start[0]!, ...decoded(values, shape).map(({ w }) => w)]]) }),
});

const linearTerms = kernelCase({
  kernel: "linearTerms",
  tolerance: 1e-15,
  shapes,
  buffers: (shape, random) => ({
    ...rowBuffers(shape, random),
    out: { role: "out", data: new Float64Array(shape.slots) } as const,
  }),
  desc: ({ format, K }, at) => tableDesc(format, K, at.table),
  call: ({ kernels, at, shape: { slots, oneHot } }) =>
    kernels.linearTerms(at.out, at.desc, at.features, oneHot ? 0 : at.values, slots),
  twin: (values, shape) => ({ out: summed(decoded(values, shape).map(({ w }) => [w])) }),
});

const gatherAt = kernelCase({
  kernel: "gatherAt",
  // Two roundings where a record has a scale.
  tolerance: 1.3e-7,
  shapes: shapes.flatMap((shape) => [true, false].map((placed) => ({ ...shape, placed }))),
  buffers: (shape, random) => ({
    ...rowBuffers(shape, random),
    // One place more than there are slots: what is not named is left alone.
    at: input(
      shape.placed ? Uint32Array.from(random.permutation(shape.slots + 1).slice(0, shape.slots)) : new Uint32Array(0),
    ),
    slots: output((shape.slots + 1) * pad4(shape.K)),
  }),
  desc: ({ format, K }, at) => tableDesc(format, K, at.table),
  call: ({ kernels, at, shape: { slots, oneHot, placed } }) =>
    kernels.gatherAt(at.slots, at.desc, placed ? at.at : 0, at.features, oneHot ? 0 : at.values, slots),
  twin: (values, shape) => {
    const Kp = pad4(shape.K);
    const rows = new Array<number>((shape.slots + 1) * Kp).fill(Number.NaN);
    const scale = new Array<number>(rows.length).fill(0);
    decoded(values, shape).forEach(({ u }, s) => {
      const place = shape.placed ? values.at[s]! : s;
      for (let k = 0; k < Kp; k++) {
        rows[place * Kp + k] = u[k] ?? 0;
        scale[place * Kp + k] = Math.abs(u[k] ?? 0);
      }
    });
    const known = Array.from(values.features).filter((j) => j < FEATURES).length;
    return { slots: { values: rows, scale }, returns: exactly([known]) };
  },
});

/** Sums and squares of slots that are not there. */
export function baseOf(random: Random, K: number): Float32Array {
  const out = new Float32Array(2 * pad4(K));
  out.set(random.values(K));
  out.set(random.values(K, 0.1, 1), pad4(K));
  return out;
}

const pairwiseFrom = kernelCase({
  kernel: "pairwiseFrom",
  tolerance: 5e-7,
  shapes: shapes.flatMap((shape) => (["sums", "z", "total"] as const).map((wants) => ({ ...shape, wants }))),
  buffers: (shape, random) => ({
    ...rowBuffers(shape, random),
    base: input(baseOf(random, shape.K)),
    sums: output(shape.wants === "sums" ? 2 * pad4(shape.K) : 0),
    z: output(shape.wants === "z" ? pad4(shape.K) : 0),
  }),
  desc: ({ format, K }, at) => tableDesc(format, K, at.table),
  call: ({ kernels, at, shape: { slots, oneHot, wants } }) =>
    kernels.pairwiseFrom(
      wants === "sums" ? at.sums : 0,
      wants === "z" ? at.z : 0,
      at.base,
      at.desc,
      at.features,
      oneHot ? 0 : at.values,
      slots,
    ),
  twin: (values, shape) => {
    const { K, wants } = shape;
    const Kp = pad4(K);
    const u = decoded(values, shape).map((slot) => slot.u);
    const lanes = Array.from({ length: Kp }, (_, k) => k);
    const S = lanes.map((k) => [values.base[k]!, ...u.map((us) => us[k] ?? 0)]);
    const Q = lanes.map((k) => [values.base[Kp + k]!, ...u.map((us) => (us[k] ?? 0) ** 2)]);
    const z = lanes.map((k) => (total(S[k]!) ** 2 - total(Q[k]!)) / 2);
    const zScale = lanes.map((k) => size(S[k]!) ** 2 + size(Q[k]!));
    return {
      sums: wants === "sums" ? summed([...S, ...Q]) : exactly([]),
      z: wants === "z" ? { values: z, scale: zScale } : exactly([]),
      returns: wants === "sums" ? exactly([0]) : { values: [total(z)], scale: total(zScale) },
    };
  },
});

const tableBegin = kernelCase({
  kernel: "tableBegin",
  tolerance: 5e-7,
  shapes: cross({ format: FORMATS, K: [...FACTORS, 20, 36] }),
  buffers: ({ format, K }, random) => ({ table: inOut(smallTable(random, format, K, false)) }),
  desc: ({ format, K }, at) => tableDesc(format, K, at.table),
  call: ({ kernels, at }) => kernels.tableBegin(at.desc),
  twin: ({ table }, { format, K }) => {
    // Compared as bits but for the norms, whose sum has an order of its own.
    const expected = Array.from(table);
    const bits = new DataView(new ArrayBuffer(4));
    const word = (value: number) => {
      bits.setFloat32(0, value, true);
      return bits.getUint32(0, true);
    };
    const { lane, record } = recordSizes(format, pad4(K));
    const scale = expected.map(() => 0);
    for (let j = 0; format !== "F32" && j <= FEATURES; j++) {
      const { v, w } = decodeRecord(bytesOf(table), format, K, j);
      const tail = (j * record + lane * pad4(K)) / 4;
      if (format === "F16") expected[tail] = word(1);
      expected[tail + 2] = word(v.reduce((sum, x) => sum + x * x, 0));
      // Some units in the last place.
      scale[tail + 2] = 8 / 5e-7;
      expected[tail + 3] = word(w);
    }
    return { table: { values: expected, scale } };
  },
});

const pairTerms = kernelCase({
  kernel: "pairTerms",
  tolerance: 3e-7,
  shapes: shapes.filter(({ slots }) => slots > 0).flatMap((shape) => [true, false].map((gain) => ({ ...shape, gain }))),
  buffers: (shape, random) => ({
    ...rowBuffers(shape, random),
    gain: input(
      Float64Array.from(random.rows(1, shape.K, shape.gain ? pad4(shape.K) : shape.K)).slice(
        0,
        shape.gain ? undefined : 0,
      ),
    ),
    out: { role: "out", data: new Float64Array(shape.slots - 1 - Math.floor(shape.slots / 3)) } as const,
  }),
  desc: ({ format, K }, at) => tableDesc(format, K, at.table),
  call: ({ kernels, at, shape: { slots, oneHot, gain } }) => {
    const s = Math.floor(slots / 3);
    kernels.pairTerms(at.out, at.desc, gain ? at.gain : 0, at.features, oneHot ? 0 : at.values, s, slots);
  },
  twin: (values, shape) => {
    const rows = decoded(values, shape);
    const s = Math.floor(shape.slots / 3);
    const products = rows
      .slice(s + 1)
      .map(({ u }) => u.map((x, k) => x * rows[s]!.u[k]! * (shape.gain ? values.gain[k]! : 1)));
    return { out: summed(products) };
  },
});

// The best of many scores

const scoreShapes = cross({
  count: [0, 1, 2, 3, 10, 100],
  most: [1, 2, 3, 7, 50, 200],
  ties: [false, true],
  parts: [1, 3],
});

/** Some equal, one NaN, one infinite. */
function someScores(random: Random, { count, ties }: { count: number; ties: boolean }): Float32Array {
  const scores = ties ? Float32Array.from({ length: count }, () => random.int(5)) : random.values(count);
  if (count > 5) scores[random.int(count)] = Number.NaN;
  if (count > 50) scores[random.int(count)] = Number.POSITIVE_INFINITY;
  return scores;
}

/** Entries of a heap, best first. */
function best(scores: ArrayLike<number>, most: number): { score: number; index: number }[] {
  return Array.from(scores, (score, index) => ({ score: Number.isNaN(score) ? -Infinity : score, index }))
    .sort((a, b) => (a.score === b.score ? a.index - b.index : a.score < b.score ? 1 : -1))
    .slice(0, most);
}

const entryWords = (entries: { score: number; index: number }[], length: number): number[] => {
  const view = new DataView(new ArrayBuffer(8 * entries.length));
  entries.forEach(({ score, index }, i) => {
    view.setFloat32(8 * i, score, true);
    view.setUint32(8 * i + 4, index, true);
  });
  return Array.from({ length: 2 * length }, (_, i) =>
    i < 2 * entries.length ? view.getUint32(4 * i, true) : Number.NaN,
  );
};

const topKeep = kernelCase({
  kernel: "topKeep",
  tolerance: 0,
  shapes: scoreShapes,
  buffers: (shape, random) => ({
    // Sorted by topSort: the order within a heap is its own affair.
    heap: { role: "out", data: new Uint32Array(2 * shape.most) } as const,
    scores: input(someScores(random, shape)),
  }),
  call: ({ kernels, at, shape: { count, most, parts } }) => {
    let size = 0;
    for (let part = 0; part < parts; part++) {
      const [from, to] = [Math.floor((part * count) / parts), Math.floor(((part + 1) * count) / parts)];
      size = kernels.topKeep(at.heap, size, most, at.scores + 4 * from, to - from, from);
    }
    kernels.topSort(at.heap, size);
    return size;
  },
  twin: ({ scores }, { most }) => {
    const entries = best(scores, most);
    return { heap: exactly(entryWords(entries, most)), returns: exactly([entries.length]) };
  },
});

const topSort = kernelCase({
  kernel: "topSort",
  tolerance: 0,
  shapes: scoreShapes.filter(({ parts, count }) => parts === 1 && count > 0),
  // Worst first is a heap.
  buffers: (shape, random) => {
    const entries = best(someScores(random, shape), shape.count).reverse();
    return { heap: inOut(Uint32Array.from(entryWords(entries, shape.count))) };
  },
  call: ({ kernels, at, shape: { count } }) => kernels.topSort(at.heap, count),
  twin: ({ heap }) => {
    const entries = Array.from({ length: heap.length / 2 }, (_, i) => [heap[2 * i]!, heap[2 * i + 1]!]);
    return { heap: exactly(entries.reverse().flat()) };
  },
});

const LARGEST = 2 ** 32 - 1;

const replaceUnknown = kernelCase({
  kernel: "replaceUnknown",
  tolerance: 0,
  shapes: cross({ n: [0, 1, 7, 2 ** 31, LARGEST], count: [0, 1, 3, 4, 5, 8, 15, 64] }),
  buffers: ({ n, count }, random) => {
    // Ids next to what comparisons can get wrong, and as many others below n as not.
    const edges = [0, n - 1, n, n + 1, 2 ** 31 - 1, 2 ** 31, LARGEST].filter((id) => id >= 0 && id <= LARGEST);
    const id = () => (random.chance(0.3) ? random.pick(edges) : random.int(Math.min(2 * n, LARGEST)));
    return { ids: inOut(Uint32Array.from({ length: count }, id)) };
  },
  call: ({ kernels, at, shape: { n, count } }) => kernels.replaceUnknown(at.ids, count, n),
  twin: ({ ids }, { n }) => ({
    ids: exactly(Array.from(ids, (id) => Math.min(id, n))),
    returns: exactly([ids.filter((id) => id >= n).length]),
  }),
});

export const tableCases = {
  linearFrom,
  linearTerms,
  gatherAt,
  pairwiseFrom,
  tableBegin,
  pairTerms,
  topKeep,
  topSort,
  replaceUnknown,
};
