import { instantiateSync } from "@assemblyscript/loader";
import { readModule } from "./memory.js";

type Address = number;

/** Exports of assembly/kernels/index.ts: every kernel by itself. `desc` is the address of a Desc. */
export interface TestKernels {
  heapBase(): Address;
  pairwiseForward(S: Address, z: Address, desc: Address, features: Address, values: Address, slots: number): number;
  pairwiseBackward(S: Address, dz: Address, dy: number, Kp: number): void;
  pairwiseDropout(S: Address, z: Address, key: number, threshold: number, Kp: number): number;
  pairwiseKeptBackward(S: Address, dy: number, Kp: number): void;
  pairwiseRecordGradient(g: Address, record: Address, desc: Address, from: number, to: number): void;
  linearForward(desc: Address, features: Address, values: Address, slots: number): number;
  gatherSlots(slots: Address, desc: Address, features: Address, values: Address): number;
  knownPairs(out: Address, desc: Address, features: Address): number;
  padPairs(pairs: Address, count: number, desc: Address): void;
  productsForward(
    out: Address,
    scores: Address,
    desc: Address,
    fields: Address,
    slots: Address,
    G: Address,
    pairs: Address,
    Pp: number,
  ): void;
  pairProducts(out: Address, slots: Address, pairs: Address, P: number, lanes: number, outBytes: number): void;
  productsBackward(
    slotGrad: Address,
    dF: Address,
    fields: Address,
    slots: Address,
    dE: Address,
    dc: Address,
    byLane: boolean,
    pairs: Address,
    P: number,
    lanes: number,
    eBytes: number,
    dx: Address,
  ): void;
  concatForward(
    x: Address,
    desc: Address,
    fields: Address,
    slots: Address,
    T: Address,
    mask: Address,
    pairs: Address,
    P: number,
    keepScale: number,
  ): void;
  concatBackward(
    dT: Address,
    desc: Address,
    fields: Address,
    slots: Address,
    dx: Address,
    mask: Address,
    pairs: Address,
    P: number,
    keepScale: number,
  ): void;
  linearFrom(sum: number, desc: Address, features: Address, values: Address, slots: number): number;
  linearTerms(out: Address, desc: Address, features: Address, values: Address, slots: number): void;
  gatherAt(slots: Address, desc: Address, at: Address, features: Address, values: Address, count: number): number;
  gatherFour(out: Address, desc: Address, features: Address, values: Address): void;
  spreadSlot(out: Address, slot: Address, Kp: number): void;
  productsOfFour(
    products: Address,
    scores: Address,
    desc: Address,
    slots: Address,
    pairs: Address,
    count: number,
  ): void;
  concatOfFour(out: Address, T: Address, desc: Address, slots: Address, pair: Address): void;
  softmaxOfFour(x: Address, share: Address, P: number, top: number, mass: number): void;
  sumOfFour(out: Address, T: Address, c: Address, P: number): void;
  networkStart(desc: Address, scratch: Address, sums: Address, share: Address): Address;
  networkInputs(sums: Address, desc: Address, x: Address, first: number, inputs: number): void;
  pairwiseFrom(
    sums: Address,
    z: Address,
    base: Address,
    desc: Address,
    features: Address,
    values: Address,
    slots: number,
  ): number;
  pairwiseNorms(
    out: Address,
    linear: number,
    base: Address,
    desc: Address,
    rowPtr: Address,
    features: Address,
    values: Address,
    rows: number,
  ): void;
  tableBegin(desc: Address): void;
  pairTerms(
    out: Address,
    desc: Address,
    gain: Address,
    features: Address,
    values: Address,
    s: number,
    slots: number,
  ): void;
  topKeep(heap: Address, size: number, most: number, scores: Address, count: number, first: number): number;
  topSort(heap: Address, size: number): void;
  replaceUnknown(ids: Address, count: number, n: number): number;
  integratedGradients(out: Address, desc: Address, x: Address, blocks: number, room: Address): number;
  samplePairs(desc: Address): void;
  networkBegin(desc: Address): void;
  networkForward(desc: Address, scratch: Address, x: Address, xBytes: number, rows: number): Address;
  networkBackward(
    desc: Address,
    scratch: Address,
    x: Address,
    dx: Address,
    xBytes: number,
    rows: number,
    dy: Address,
    chunk: Address,
  ): void;
  networkEnd(desc: Address, chunk: Address): void;
  batchNormStatistics(desc: Address): void;
  batchNormMoving(desc: Address): void;
  batchNormForward(out: Address, z: Address, desc: Address): void;
  batchNormBackward(u: Address, du: Address, desc: Address): void;
  batchNormEnd(desc: Address): void;
  distinctBegin(desc: Address, scratch: Address): void;
  distinctPairs(
    rowPairs: Address,
    rowSlots: Address,
    desc: Address,
    scratch: Address,
    features: Address,
    values: Address,
  ): number;
  gatherNew(slots: Address, desc: Address, rowSlots: Address, features: Address, values: Address): number;
  gatherPairs(H: Address, c: Address, Z: Address, C: Address, rowPairs: Address, Ap: number, Pp: number): void;
  scatterPairs(dZ: Address, dC: Address, HT: Address, dc: Address, rowPairs: Address, Ap: number, P: number): void;
  linkPairs(desc: Address, b: number, rows: number, scratch: Address, pairs: number): void;
  maskedScores(desc: Address, scratch: Address, first: Address, count: number, G: Address): void;
  maskedRowScores(scores: Address, desc: Address, G: Address, mask: Address, count: number): void;
  maskedGradients(C: Address, desc: Address, scratch: Address, first: Address, count: number, k: number): void;
  maskedRowGradients(C: Address, desc: Address, dc: Address, mask: Address, P: number, lanes: number): void;
  attentionForward(logits: Address, H: Address, desc: Address, P: number): void;
  attentionBackward(db: Address, dh: Address, H: Address, HT: Address, dlogit: Address, desc: Address, P: number): void;
  softmax(x: Address, P: number): void;
  softmaxBackward(dT: Address, T: Address, P: number): void;
  fieldForward(desc: Address): void;
  fieldBackward(dU: Address, dD: Address, dF: Address, desc: Address): void;
  matmul(
    C: Address,
    A: Address,
    B: Address,
    m: number,
    k: number,
    n: number,
    cBytes: number,
    aBytes: number,
    bBytes: number,
  ): void;
  matmulTransposedA(
    C: Address,
    A: Address,
    B: Address,
    m: number,
    k: number,
    n: number,
    cBytes: number,
    aBytes: number,
    bBytes: number,
    add: boolean,
  ): void;
  probability(score: number): number;
  lossValue(kind: number, yHat: number, label: number): number;
  lossGradient(kind: number, yHat: number, label: number): number;
  allFinite(x: Address, floats: number): number;
  lossOfRows(dy: Address, desc: Address, b: number, rows: number): number;
  metricSums(out: Address, desc: Address, low: number, high: number, threshold: number, middle: number): void;
  dropoutMasks(out: Address, key: number, count: number, blocks: number, threshold: number): void;
  dropout(out: Address, x: Address, lanes: number, key: number, threshold: number): void;
  optimizerStep(desc: Address, theta: Address, gradient: Address, floats: number, l2: number, scale: number): void;
  optimizerInit(desc: Address, theta: Address, floats: number): void;
  squaredNorm(theta: Address, gradient: Address, floats: number, l2: number): number;
  stepIsFinite(theta: Address, gradient: Address, floats: number, scale: number): number;
  touchRows(desc: Address, from: number, to: number): number;
  sortOccurrences(desc: Address): void;
  beginScatter(desc: Address): void;
  scatterRow(desc: Address, S: Address, dy: number, features: Address, values: Address, slots: number): void;
  scatteredGradient(g: Address, record: Address, desc: Address, t: number): void;
  randomKey(seed: number, stream: number, step: number, row: number): number;
  randomKeepThreshold(keep: number): number;
  randomKeepScale(threshold: number): number;
}

/** Pages of the memory that kernels are tested in: 4 MiB. */
const PAGES = 64;

let module: WebAssembly.Module | undefined;

/** The test module over a memory of its own. */
export function instantiateTestKernels(): { kernels: TestKernels; memory: WebAssembly.Memory } {
  module ??= readModule("build/kernels.wasm");
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: 65536 });
  // The loader's abort names the assertion with its file and line.
  const { exports } = instantiateSync(module, { env: { memory } });
  return { kernels: exports as unknown as TestKernels, memory };
}
