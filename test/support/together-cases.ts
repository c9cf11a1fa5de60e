/*
 * The kernels of rows that are scored together: from small tables, and candidates side by side; see cases.ts.
 */
import { allPairs, softmax } from "../reference/index.js";
import { exactly } from "./compare.js";
import { inOut, input, output, scratch } from "./guards.js";
import { kernelCase } from "./kernel-case.js";
import type { Random } from "./random.js";
import { cross, KERNEL_FACTORS as FACTORS, pad4, sweep } from "./sweep.js";
import { baseOf, decoded, rowBuffers, size, summed, tableDesc, shapes as tableShapes, total } from "./table-cases.js";

const NONE = new Float32Array(0);
const small = tableShapes.filter(({ format }) => format !== "F32");

/** Lanes in the order of kernels/norms.ts: of each eight the even ones first. */
const evenFirst = (lanes: Float32Array): Float32Array =>
  lanes.map((_, i) => {
    const [first, at] = [i - (i % 8), i % 8];
    return lanes[first + 8 > lanes.length ? i : first + (at < 4 ? 2 * at : 2 * at - 7)]!;
  });

const pairwiseNorms = kernelCase({
  kernel: "pairwiseNorms",
  tolerance: 5e-7,
  shapes: small.flatMap((shape) => [0, 3].flatMap((rows) => [true, false].map((from) => ({ ...shape, rows, from })))),
  buffers: (shape, random) => {
    const starts = [2];
    for (let r = 0; r < shape.rows; r++) starts.push(starts[r]! + (r === 1 ? random.int(4) : shape.slots));
    const rows = rowBuffers({ ...shape, slots: starts.at(-1)! }, random);
    const base = baseOf(random, shape.K).slice(0, pad4(shape.K));
    return {
      ...rows,
      rowPtr: input(Uint32Array.from(starts)),
      start: input(random.values(1)),
      base: input(shape.from ? Float32Array.from([...evenFirst(base), random.value(0.1, 1)]) : NONE),
      out: output(shape.rows),
    };
  },
  desc: ({ format, K }, at) => tableDesc(format, K, at.table),
  call: ({ kernels, memory, at, shape: { rows, oneHot, from } }) => {
    const [linear] = new Float32Array(memory.buffer, at.start, 1) as unknown as [number];
    const values = oneHot ? 0 : at.values;
    kernels.pairwiseNorms(at.out, linear, from ? at.base : 0, at.desc, at.rowPtr, at.features, values, rows);
  },
  twin: ({ base, start, rowPtr, ...values }, shape) => {
    const slots = decoded(values, shape);
    const lanes = evenFirst(Float32Array.from({ length: pad4(shape.K) }, (_, k) => k));
    const of = (k: number) => (shape.from ? base[lanes.indexOf(k)]! : 0);
    const norm = shape.from ? base.at(-1)! : 0;
    const expected = Array.from({ length: shape.rows }, (_, r) => {
      const row = slots.slice(rowPtr[r]!, rowPtr[r + 1]!);
      const S = Array.from({ length: shape.K }, (_, k) => [of(k), ...row.map(({ u }) => u[k]!)]);
      const squares = row.map(({ u }) => total(u.map((x) => x * x)));
      const terms = [start[0]!, ...row.map(({ w }) => w)];
      const pairs = [...S.map((lane) => total(lane) ** 2 / 2), -norm / 2, ...squares.map((square) => -square / 2)];
      const scale = size(terms) + total(S.map((lane) => size(lane) ** 2)) + norm + total(squares);
      return { value: total([...terms, ...pairs]), scale };
    });
    return { out: { values: expected.map(({ value }) => value), scale: expected.map(({ scale }) => scale) } };
  },
});

/** Places of the slots in a block: some new, some of other rows, some unknown. */
const NEW_SLOTS = 6;

const gatherNew = kernelCase({
  kernel: "gatherNew",
  tolerance: 5e-7,
  shapes: tableShapes.filter(({ slots }) => slots > 0),
  buffers: (shape, random) => {
    const places = random.permutation(NEW_SLOTS + shape.slots).slice(0, shape.slots);
    const offsets = places.map((place) => (4 * pad4(shape.K) * place) | random.int(2));
    return {
      ...rowBuffers(shape, random),
      bias: input(random.values(1)),
      rowSlots: input(Uint32Array.from(offsets)),
      slots: output((NEW_SLOTS + shape.slots) * pad4(shape.K)),
    };
  },
  desc: ({ format, K, slots }, at) => ({ ...tableDesc(format, K, at.table), M: slots, bias: at.bias }),
  call: ({ kernels, at, shape: { oneHot } }) =>
    kernels.gatherNew(at.slots, at.desc, at.rowSlots, at.features, oneHot ? 0 : at.values),
  twin: ({ bias, rowSlots, slots, ...values }, shape) => {
    const rows = decoded(values, shape);
    const out = new Array<number>(slots.length).fill(Number.NaN);
    rows.forEach(({ u }, s) => {
      if (rowSlots[s]! % 2 === 0) return;
      const lanes = Array.from({ length: pad4(shape.K) }, (_, k) => u[k] ?? 0);
      out.splice((rowSlots[s]! - 1) / 4, lanes.length, ...lanes);
    });
    return {
      slots: { values: out, scale: out.map((x) => Math.abs(x) || 0) },
      returns: summed([[bias[0]!, ...rows.map(({ w }) => w)]]),
    };
  },
});

// Four rows side by side

const FOUR = 4;
const lanesOf = <T>(of: (r: number) => T): T[] => Array.from({ length: FOUR }, (_, r) => of(r));

const gatherFour = kernelCase({
  kernel: "gatherFour",
  tolerance: 5e-7,
  shapes: tableShapes.filter(({ slots, oneHot }) => slots === 1 && !oneHot),
  buffers: (shape, random) => ({
    ...rowBuffers({ ...shape, slots: FOUR }, random),
    out: output(FOUR * pad4(shape.K)),
  }),
  desc: ({ format, K }, at) => tableDesc(format, K, at.table),
  call: ({ kernels, at }) => kernels.gatherFour(at.out, at.desc, at.features, at.values),
  twin: ({ out, ...values }, shape) => {
    const rows = decoded(values, shape);
    return { out: summed(Array.from(out, (_, i) => [rows[i % FOUR]!.u[Math.floor(i / FOUR)] ?? 0])) };
  },
});

const spreadSlot = kernelCase({
  kernel: "spreadSlot",
  tolerance: 0,
  shapes: cross({ K: FACTORS }),
  buffers: ({ K }, random) => ({ out: output(FOUR * pad4(K)), slot: input(random.rows(1, K, pad4(K))) }),
  call: ({ kernels, at, shape: { K } }) => kernels.spreadSlot(at.out, at.slot, pad4(K)),
  twin: ({ slot }) => ({ out: exactly(Array.from(slot).flatMap((x) => lanesOf(() => x))) }),
});

const M = 5;
const PAIRS = allPairs(M);

/** Slots of four rows, F_p of all pairs, and some of the pairs. */
function fourRows(random: Random, K: number, count: number) {
  const Kp = pad4(K);
  const chosen = random.permutation(PAIRS.length).slice(0, count);
  return {
    slots: input(random.rows(M, FOUR * K, FOUR * Kp)),
    fieldPairs: input(random.rows(PAIRS.length, K, Kp)),
    pairs: input(Uint32Array.from(chosen.flatMap((p) => [...PAIRS[p]!, p].map((place) => 4 * Kp * place)))),
  };
}

type FourRows = { slots: Float32Array; fieldPairs: Float32Array; pairs: Uint32Array };

/** e_p and F_p of pair number `i`, lane k, of row r. */
function pairLanes({ slots, fieldPairs, pairs }: FourRows) {
  return (i: number, k: number, r: number) => {
    const [s, t, p] = [0, 1, 2].map((at) => pairs[3 * i + at]! / 4) as [number, number, number];
    return { e: slots[FOUR * (s + k) + r]! * slots[FOUR * (t + k) + r]!, F: fieldPairs[p + k]! };
  };
}

const productsOfFour = kernelCase({
  kernel: "productsOfFour",
  tolerance: 1e-6,
  shapes: cross({ K: FACTORS, count: [1, 2, 7] }),
  buffers: ({ K, count }, random) => ({
    ...fourRows(random, K, count),
    products: output(FOUR * count * pad4(K)),
    scores: output(FOUR * count),
  }),
  desc: ({ K }, at) => ({ Kp: pad4(K), fieldPairs: at.fieldPairs }),
  call: ({ kernels, at, shape: { count } }) =>
    kernels.productsOfFour(at.products, at.scores, at.desc, at.slots, at.pairs, count),
  twin: (values, { K, count }) => {
    const of = pairLanes(values);
    const products = Array.from({ length: pad4(K) }, (_, k) =>
      Array.from({ length: count }, (_, i) => lanesOf((r) => [of(i, k, r).e])),
    );
    const scores = Array.from({ length: FOUR * count }, (_, at) =>
      Array.from({ length: K }, (_, k) => {
        const { e, F } = of(Math.floor(at / FOUR), k, at % FOUR);
        return e * F;
      }),
    );
    return { products: summed(products.flat(2)), scores: summed(scores) };
  },
});

const concatOfFour = kernelCase({
  kernel: "concatOfFour",
  tolerance: 3e-7,
  shapes: cross({ K: FACTORS, pair: [0, 1, 2] }),
  buffers: ({ K }, random) => ({
    ...fourRows(random, K, 3),
    T: input(random.values(FOUR)),
    out: output(FOUR * pad4(K)),
  }),
  desc: ({ K }, at) => ({ Kp: pad4(K), fieldPairs: at.fieldPairs }),
  call: ({ kernels, at, shape: { pair } }) =>
    kernels.concatOfFour(at.out, at.T, at.desc, at.slots, at.pairs + 12 * pair),
  twin: ({ T, out, ...values }, { pair }) => {
    const of = pairLanes(values);
    const lane = (i: number) => {
      const { e, F } = of(pair, Math.floor(i / FOUR), i % FOUR);
      return [T[i % FOUR]! * e * F];
    };
    return { out: summed(Array.from(out, (_, i) => lane(i))) };
  },
});

const softmaxOfFour = kernelCase({
  kernel: "softmaxOfFour",
  tolerance: 1e-6,
  shapes: cross({ P: [0, 1, 2, 3, 17, 45], spread: [0.1, 3, 60], others: [0, 1, 5] }).filter(
    ({ P, others }) => P + others > 0,
  ),
  buffers: ({ P, spread, others }, random) => ({
    x: inOut(random.values(FOUR * P).map((x) => 3 + spread * x)),
    share: output(FOUR),
    // Logits of the pairs that the rows share.
    logits: input(random.values(others).map((x) => 3 + spread * x)),
  }),
  call: ({ kernels, memory, at, shape: { P, others } }) => {
    const logits = Array.from(new Float32Array(memory.buffer, at.logits, others));
    const top = Math.max(-3.4028234663852886e38, ...logits);
    kernels.softmaxOfFour(at.x, at.share, P, top, total(logits.map((logit) => Math.exp(logit - top))));
  },
  twin: ({ x, logits }, { P }) => {
    const shared = Array.from(logits);
    const rows = lanesOf((r) => {
      const all = [...shared, ...Array.from({ length: P }, (_, p) => x[FOUR * p + r]!)];
      const [T, top] = [softmax(all), Math.max(...all)];
      // As in softmax; the difference to the maximum is rounded.
      return { T, scale: T.map((t, i) => t * (1 + top - all[i]!) + 1e-30) };
    });
    const own = (of: "T" | "scale") =>
      Array.from({ length: FOUR * P }, (_, i) => rows[i % FOUR]![of][shared.length + Math.floor(i / FOUR)]!);
    const others = (of: "T" | "scale") => rows.map((row) => total(row[of].slice(0, shared.length)));
    return {
      x: { values: own("T"), scale: own("scale") },
      share: { values: others("T"), scale: others("scale") },
    };
  },
});

const sumOfFour = kernelCase({
  kernel: "sumOfFour",
  tolerance: 1e-6,
  shapes: cross({ P: [0, 1, 2, 3, 17] }),
  buffers: ({ P }, random) => ({
    out: inOut(random.values(FOUR)),
    T: input(random.values(FOUR * P, 0, 1)),
    c: input(random.values(FOUR * P)),
  }),
  call: ({ kernels, at, shape: { P } }) => kernels.sumOfFour(at.out, at.T, at.c, P),
  twin: ({ out, T, c }, { P }) => {
    const terms = (r: number) => Array.from({ length: P }, (_, p) => T[FOUR * p + r]! * c[FOUR * p + r]!);
    return { out: summed(lanesOf((r) => [out[r]!, ...terms(r)])) };
  },
});

/** The record of a network's only layer; see kernels/dense.ts. */
const layerOf = (columns: number, kernel: number, hidden: number) => [0, columns, kernel, 0, 0, 0, hidden, 0];

const networkStart = kernelCase({
  kernel: "networkStart",
  tolerance: 1e-7,
  shapes: cross({ columns: [4, 8, 12, 100] }),
  buffers: ({ columns }, random) => ({
    layers: scratch(new Uint32Array(8)),
    sums: input(random.values(FOUR * columns)),
    share: input(random.values(FOUR)),
    hidden: output(FOUR * columns),
  }),
  desc: (_, at) => ({ layers: at.layers }),
  call: ({ kernels, memory, at, shape: { columns } }) => {
    new Uint32Array(memory.buffer, at.layers, 8).set(layerOf(columns, 0, at.hidden - at.sums));
    return kernels.networkStart(at.desc, at.sums, at.sums, at.share) === at.hidden;
  },
  twin: ({ sums, share }, { columns }) => ({
    hidden: summed(Array.from(sums, (x, i) => [x * share[Math.floor(i / columns)]!])),
    returns: exactly([1]),
  }),
});

const networkInputs = kernelCase({
  kernel: "networkInputs",
  tolerance: 1e-6,
  shapes: sweep({ columns: [4, 8, 12, 100], inputs: [4, 8, 64] }, { first: [0, 4, 12] }),
  buffers: ({ columns, inputs, first }, random) => ({
    layers: scratch(new Uint32Array(8)),
    sums: inOut(random.values(FOUR * columns)),
    x: input(random.values(FOUR * inputs)),
    kernel: input(random.values((first + inputs) * columns)),
  }),
  desc: (_, at) => ({ layers: at.layers }),
  call: ({ kernels, memory, at, shape: { columns, first, inputs } }) => {
    new Uint32Array(memory.buffer, at.layers, 8).set(layerOf(columns, at.kernel, 0));
    kernels.networkInputs(at.sums, at.desc, at.x, first, inputs);
  },
  twin: ({ sums, x, kernel }, { columns, first, inputs }) => ({
    sums: summed(
      Array.from(sums, (start, at) => {
        const [r, j] = [Math.floor(at / columns), at % columns];
        const terms = Array.from({ length: inputs }, (_, i) => x[FOUR * i + r]! * kernel[(first + i) * columns + j]!);
        return [start, ...terms];
      }),
    ),
  }),
});

export const togetherCases = {
  pairwiseNorms,
  gatherNew,
  gatherFour,
  spreadSlot,
  productsOfFour,
  concatOfFour,
  softmaxOfFour,
  sumOfFour,
  networkStart,
  networkInputs,
};
