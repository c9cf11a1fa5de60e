import type { ModelConfig } from "../config.js";
import { type Dataset, placeOf } from "../data/dataset.js";
import { moveInto } from "../data/movable.js";
import { IfmError } from "../errors.js";
import { floatOf, type Layout, type TensorSpec } from "../model/layout.js";
import type { Request } from "../model/rank.js";
import { ARRAYS, type Dtype, type Numbers } from "../model/safetensors.js";
import { Desc } from "./abi.js";
import { sha256 } from "./hash.js";
import { instantiateKernels, type KernelBuild, type Kernels } from "./load.js";
import { type MemoryPlan, planMemory, type Rows, SCORE_ROWS, type Staging, type TrainingPlan } from "./plan.js";
import { explainRow, type Parts, rankCandidates } from "./serving.js";
import type { Threads } from "./threads.js";

/** Streams of random numbers; the kernels have those of dropout (assembly/kernels/dropout.ts). */
const STREAM_SHUFFLE = 0;
const STREAM_INIT = 1;

/** Rows in linear memory as views; valid until the memory grows. */
export interface RowViews {
  /** Rows in the order in which they are visited, u32[visits]. */
  order: Uint32Array;
  /** Feature ids, u32[nnz]. */
  features: Uint32Array;
  /** Feature values, f32[nnz]; undefined when every value is 1. */
  values: Float32Array | undefined;
  /** The id that stands for features beyond the table. */
  unknown: number;
}

/** What metricSums adds up. */
export interface Sums {
  squared: number;
  absolute: number;
  logistic: number;
  truePositives: number;
  falsePositives: number;
  falseNegatives: number;
}

/** Where labels and predictions are cut. */
export interface Cuts {
  /** Predictions are clipped to [low, high] for rmse and mae. */
  low: number;
  high: number;
  /** Predictions above it are positive. */
  threshold: number;
  /** Labels above it are positive. */
  middle: number;
}

/**
 * One model in one linear memory: its parameters, what a batch needs, and the calls that compute.
 *
 * TypeScript owns meaning and addresses, the kernels own arithmetic; this class is where they meet.
 */
export class Session {
  readonly config: ModelConfig;
  readonly layout: Layout;
  readonly memory: WebAssembly.Memory;
  kernels: Kernels;
  /** Chunks that a full batch is cut into. */
  readonly chunkRows: number;
  /** Slots whose feature the model does not know, among the training rows. */
  readonly unknownFeatures: number;
  readonly #desc: Desc;
  readonly #plan: MemoryPlan;
  readonly #sampling: { ratio: number; after: number };
  /** The kernels, for other threads. */
  readonly #module: WebAssembly.Module;
  #threads: Threads | undefined;

  /**
   * @param kernels  compiled for shared memory when there are to be several threads
   * @param config   the model; parameters are 0 until `initialise` or `write`
   * @param slots    slots of the longest row that will be scored (FM; other models know theirs)
   * @param training how and on what it is trained; without it the session can only score
   * @param threads  room for so many; they are one until `startThreads`
   * @param dtype    of the table; only F32 is trained
   * @throws IfmError IFM_MEMORY
   */
  constructor(
    kernels: KernelBuild,
    config: ModelConfig,
    slots: number,
    training?: TrainingPlan,
    threads = 1,
    dtype: Dtype = "F32",
  ) {
    this.config = config;
    const plan = planMemory(config, slots, training, threads, dtype);
    this.#plan = plan;
    this.layout = plan.layout;
    this.chunkRows = plan.chunkRows;
    this.#sampling = { ratio: training?.config.samplePairs ?? 1, after: training?.config.sampleAfter ?? 0 };
    this.memory = plan.arena.memory(`the ${config.model} model (${config.features} features)`, kernels.shared);
    this.kernels = instantiateKernels(kernels.module, this.memory);
    this.#desc = new Desc(this.memory, plan.desc);
    this.#desc.set(plan.fields);
    plan.fill(this.memory);
    this.#module = kernels.module;
    this.#identity(plan.identity, SCORE_ROWS);

    this.unknownFeatures = 0;
    if (training && plan.training) {
      const { data, release = false } = training;
      const { labels, rowPtr, features, values, nnz } = plan.training;
      const [keepWeights, keepProducts] = training.config.keep.map((keep) => this.kernels.keepThreshold(keep));
      this.#desc.set({ keepWeights: keepWeights!, keepProducts: keepProducts! });
      const copy: typeof moveInto = release ? moveInto : (target, source) => target.set(source);
      copy(this.#f32(labels, data.rows), data.labels);
      copy(this.#u32(rowPtr, data.rows + 1), data.rowPtr);
      copy(this.#u32(features, nnz), data.features);
      this.unknownFeatures = this.kernels.replaceUnknown(features, nnz, config.features);
      if (data.values) copy(this.#f32(values, nnz), data.values);
    }
  }

  /** Threads that compute. */
  get threads(): number {
    return this.#threads?.count ?? 1;
  }

  /**
   * Starts the threads that there is room for. When that is not possible, fewer go on, at least this one.
   *
   * @param onLost called with the reason when one cannot be started, and when one ends by itself
   */
  async startThreads(onLost: (reason: string) => void): Promise<void> {
    if (this.#plan.scratch.length === 1) return;
    const { Threads } = await import("./threads.js");
    this.#threads = new Threads(this.#module, this.memory, this.kernels, this.#plan);
    await this.#threads.start(onLost);
  }

  /** Ends all threads but this one. */
  dispose(): void {
    this.#threads?.stop();
  }

  /** Bytes of linear memory. */
  get bytes(): number {
    return this.memory.buffer.byteLength;
  }

  #f32(address: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, length);
  }

  #u32(address: number, length: number): Uint32Array {
    return new Uint32Array(this.memory.buffer, address, length);
  }

  #identity(address: number, length: number): void {
    const order = this.#u32(address, length);
    for (let i = 0; i < length; i++) order[i] = i;
  }

  /** Fills every tensor with its initial values. */
  initialise(seed: number): void {
    this.#changed();
    this.layout.tensors.forEach((spec, index) => {
      const { init, rows, cols, group } = spec;
      if (init.kind === "constant") {
        if (init.value !== 0) this.write(spec, new Float32Array(rows * cols).fill(init.value));
        return;
      }
      // Group by group, each with a key of its own: numbers do not depend on the padding between groups.
      for (let first = 0, g = 0; first < rows; first += group.size, g++) {
        const address = this.#plan.parameters + spec.offset + 4 * g * group.stride * spec.stride;
        const key = this.kernels.key(seed, STREAM_INIT, index, g);
        this.kernels.fillNormal(address, group.size, cols, spec.stride, key, init.std);
      }
    });
  }

  /** Optimizer state before the first step; after `initialise` and `write`. */
  initialiseState(): void {
    this.kernels.initState(this.#desc.address, this.#plan.parameters, this.layout.bytes / 4);
  }

  #numbers({ dtype, offset, floats }: TensorSpec): Numbers {
    return new ARRAYS[dtype](this.memory.buffer, this.#plan.parameters + offset, floats);
  }

  /** A tensor's numbers in its logical shape, without padding; or up to `most` rows of them, from `first` on. */
  read(spec: TensorSpec, first = 0, most = spec.rows): Numbers {
    const { cols } = spec;
    const rows = Math.min(most, spec.rows - first);
    const out = new ARRAYS[spec.dtype](rows * cols);
    const source = this.#numbers(spec);
    for (let r = 0; r < rows; r++) {
      const at = floatOf(spec, first + r);
      if (cols === 1) out[r] = source[at]!;
      else out.set(source.subarray(at, at + cols), r * cols);
    }
    return out;
  }

  /** The same as 32-bit floats, whatever the table's type. */
  readFloats(spec: TensorSpec): Float32Array {
    const numbers = this.read(spec);
    if (numbers instanceof Float32Array) return numbers;
    const { staging, serving, scratch } = this.#plan;
    const out = new Float32Array(numbers.length);
    const id = this.#u32(staging[0]!.features, 1);
    const v = this.#f32(scratch[0]! + this.#desc.get("sSlots"), spec.cols);
    const w = new Float64Array(this.memory.buffer, serving.linear, 1);
    for (let r = 0; r < spec.rows; r++) {
      id[0] = r;
      this.kernels.decodeRecord(this.#desc.address, staging[0]!.features, scratch[0]!, serving.linear);
      if (spec.shape.length === 1) out[r] = w[0]!;
      else out.set(v, r * spec.cols);
    }
    return out;
  }

  /** What the kernels derive from the parameters has to be made anew. */
  #changed(): void {
    this.#desc.set({ derived: 0 });
  }

  /** Writes the first `data.length / cols` rows of a tensor. */
  write(spec: TensorSpec, data: Numbers): void {
    this.#changed();
    const { cols } = spec;
    const target = this.#numbers(spec);
    for (let r = 0; r < data.length / cols; r++) {
      const at = floatOf(spec, r);
      if (cols === 1) target[at] = data[r]!;
      else target.set(data.subarray(r * cols, (r + 1) * cols), at);
    }
  }

  /** Whether every parameter is a finite number. */
  isFinite(): boolean {
    return this.kernels.allFinite(this.#plan.parameters, this.layout.bytes / 4) === 1;
  }

  /** All parameters as they lie in memory: a view, for snapshots, to be read or written at once. */
  parameters(): Float32Array {
    this.#changed();
    return this.#f32(this.#plan.parameters, this.layout.bytes / 4);
  }

  /** All that a step changes, as it lies in memory: parameters, then the states of the optimizer. Views, as `parameters`. */
  stepped(): Float32Array[] {
    const { parameters, fields } = this.#plan;
    const states = [fields.state ?? 0, fields.state2 ?? 0].filter((distance) => distance > 0);
    return [this.parameters(), ...states.map((distance) => this.#f32(parameters + distance, this.layout.bytes / 4))];
  }

  /** Learning rate of the steps to come. */
  set learningRate(lr: number) {
    this.#desc.set({ lr });
  }

  /** Whether a step has had a gradient or a weight that is not finite. */
  get diverged(): boolean {
    return this.#desc.get("diverged") !== 0;
  }

  /** Forgets that. */
  clearDiverged(): void {
    this.#desc.set({ diverged: 0 });
  }

  /** Puts the training rows into the order of an epoch: file order, or shuffled by (seed, epoch) alone. */
  order(epoch: number, seed: number, shuffle: boolean): void {
    const { order, rows } = this.#plan.training!;
    this.#identity(order, rows);
    if (shuffle) this.kernels.shuffle(order, rows, this.kernels.key(seed, STREAM_SHUFFLE, epoch, 0));
  }

  /** The training rows, to be arranged by who knows in which order an epoch visits them. */
  trainingRows(): RowViews {
    const { order, visits, features, values, nnz } = this.#plan.training!;
    return {
      order: this.#u32(order, visits),
      features: this.#u32(features, nnz),
      values: values === 0 ? undefined : this.#f32(values, nnz),
      unknown: this.config.features,
    };
  }

  /** The training rows as they lie in linear memory: unknown features have become the id n. */
  rowData(): Pick<Dataset, "labels" | "rowPtr" | "features" | "values"> {
    const { rows, labels, rowPtr } = this.#plan.training!;
    const { features, values = null } = this.trainingRows();
    return { labels: this.#f32(labels, rows), rowPtr: this.#u32(rowPtr, rows + 1), features, values };
  }

  /** Selects the training rows for `trainBatch`. */
  beginTraining(): void {
    const { labels, rowPtr, features, values, order, yHat } = this.#plan.training!;
    this.#desc.set({ labels, rowPtr, features, values, order, yHat });
  }

  /**
   * One batch: rows order[first] … order[first + count - 1]: forward, loss, backward, update.
   *
   * @returns the loss summed over the rows, before regularisation
   */
  trainBatch(batch: {
    first: number;
    count: number;
    step: number;
    dyScale: number;
    correction1: number;
    correction2: number;
  }): number {
    const { ratio, after } = this.#sampling;
    this.#desc.set({ ...batch, sampleCount: batch.step < after ? 0 : this.#sampleCount(ratio), sampleNoise: 1 });
    const { desc, scratch } = this.#plan;
    return this.#threads ? this.#threads.trainBatch() : this.kernels.trainBatch(desc, scratch[0]!);
  }

  /** Adds the metrics of the batch that was computed last. */
  addMetrics({ low, high, threshold, middle }: Cuts): void {
    this.kernels.metricSums(this.#plan.sums, this.#desc.address, low, high, threshold, middle);
  }

  /** The sums so far: a view. */
  sums(): Float64Array {
    return new Float64Array(this.memory.buffer, this.#plan.sums, 6);
  }

  /** The sums so far; starts from 0 again. */
  takeSums(): Sums {
    const view = this.sums();
    const [squared, absolute, logistic, truePositives, falsePositives, falseNegatives] = view as unknown as Six;
    view.fill(0);
    return { squared, absolute, logistic, truePositives, falsePositives, falseNegatives };
  }

  /** Scores of the batch that was computed last, f32[count]; a view. */
  batchScores(count: number): Float32Array {
    return this.#f32(this.#desc.get("yHat"), count);
  }

  /** Labels of the training rows order[first] … in that order. */
  batchLabels(first: number, count: number, out: Float32Array): void {
    const { order, labels, rows, visits } = this.#plan.training!;
    const orderView = this.#u32(order, visits);
    const labelView = this.#f32(labels, rows);
    for (let i = 0; i < count; i++) out[i] = labelView[orderView[first + i]!]!;
  }

  /**
   * Scores rows in blocks; between blocks the caller may read the scores and add metrics.
   *
   * @param samplePairs share of the pairs with the largest ‖F_p‖ that is looked at; 1 = all
   * @throws IfmError IFM_DATA when a row has another number of slots than the model
   */
  *scoreBlocks(data: Dataset, samplePairs = 1): Generator<{ first: number; scores: Float32Array }> {
    const rooms = this.#plan.staging;
    this.checkSlots(data);
    const sampleCount = this.#sampleCount(samplePairs);
    if (sampleCount !== this.#desc.get("sampleCount")) this.#changed();
    this.#desc.set({ sampleCount, sampleNoise: 0 });
    let block = this.#stage(data, 0, rooms[0]!);
    let next = block;
    for (let number = 1; block; number++) {
      const { first, end, fields } = block;
      const stageNext = () => this.#stage(data, end, rooms[number % rooms.length]!);
      this.#desc.set(fields);
      this.#predictBatch(() => {
        if (rooms.length > 1) next = stageNext();
      });
      yield { first, scores: this.#f32(fields.yHat, fields.count) };
      block = rooms.length > 1 ? next : stageNext();
    }
  }

  /** From now on with kernels for models: training is over. Shared memories have kernels that do both. */
  predictWith({ module, shared }: KernelBuild): void {
    if (!shared && !(this.memory.buffer instanceof SharedArrayBuffer))
      this.kernels = instantiateKernels(module, this.memory);
  }

  #parts(): Parts {
    const { config, memory, kernels } = this;
    if (!("rank" in kernels)) {
      throw new IfmError("IFM_WASM", "kernels: these train, and neither rank nor explain", {
        hint: "load the model with wasm/ifm-predict.wasm",
      });
    }
    const { staging, serving, scratch } = this.#plan;
    return { config, memory, kernels, desc: this.#desc, staging: staging[0]!, serving, scratch: scratch[0]! };
  }

  /** Scores candidates; the best `topK`, in order. On this thread. */
  rank(request: Request, topK: number) {
    this.#allPairs();
    return rankCandidates(this.#parts(), request, topK);
  }

  /** Why the only row of `data` has its score. */
  explain(data: Dataset) {
    const [{ scores }] = this.scoreBlocks(data);
    return { score: scores[0]!, ...explainRow(this.#parts(), data) };
  }

  /** SHA-256 of bytes in parts, in Base64. */
  sha256(parts: Iterable<Uint8Array>): string {
    return sha256(this.kernels, this.memory, this.#plan.serving.hash, parts);
  }

  #allPairs(): void {
    if (this.#desc.get("sampleCount") !== 0) this.#changed();
    this.#desc.set({ sampleCount: 0 });
  }

  /** @param meanwhile what this thread does while others, if there are any, have begun */
  #predictBatch(meanwhile: () => void): void {
    if (this.#threads) {
      this.#threads.predictBatch(meanwhile);
    } else {
      this.kernels.predictBatch(this.#plan.desc, this.#plan.scratch[0]!);
      meanwhile();
    }
  }

  /** Copies the rows from `first` on into linear memory, as many as there is room for; one row always fits. */
  #stage(data: Dataset, first: number, room: Staging): Block | undefined {
    if (first >= data.rows) return undefined;
    const { rows, slots, labels, features, values, order, yHat } = room;
    const begin = data.rowPtr[first]!;
    let end = Math.min(data.rows, first + rows);
    if (data.rowPtr[end]! - begin > slots) {
      end = first + 1;
      while (end < data.rows && data.rowPtr[end + 1]! - begin <= slots) end++;
    }
    const count = end - first;
    const rowPtr = room.rowPtr;
    const starts = this.#u32(rowPtr, count + 1);
    for (let i = 0; i <= count; i++) starts[i] = data.rowPtr[first + i]! - begin;
    const nnz = data.rowPtr[end]! - begin;
    this.#u32(features, nnz).set(data.features.subarray(begin, begin + nnz));
    this.kernels.replaceUnknown(features, nnz, this.config.features);
    if (data.values) this.#f32(values, nnz).set(data.values.subarray(begin, begin + nnz));
    this.#f32(labels, count).set(data.labels.subarray(first, end));
    const fields = { labels, rowPtr, features, values: data.values ? values : 0, order, yHat, first: 0, count };
    return { first, end, fields };
  }

  /** Pairs that are drawn; 0 = all are taken. */
  #sampleCount(ratio: number): number {
    return ratio < 1 ? Math.max(1, Math.floor(ratio * this.#plan.pairs)) : 0;
  }

  /** Models whose fields are the slots' positions need the same number of slots in every row. */
  checkSlots(data: Dataset): void {
    if (this.config.model === "fm") {
      const { slots } = this.#plan.staging[0]!;
      if (data.maxSlots <= slots) return;
      throw new IfmError("IFM_DATA", `a row has ${data.maxSlots} slots, expected at most ${slots}`, {
        file: data.name,
      });
    }
    checkFixedSlots(data, this.config.fieldOfSlot.length, this.config.model);
  }
}

/** Rows first … end - 1 of a data set in linear memory, and what the kernels are told of them. */
interface Block {
  first: number;
  end: number;
  fields: Rows & { first: number; count: number };
}

type Six = [number, number, number, number, number, number];

/**
 * Every row of `data` has `slots` slots.
 *
 * @throws IfmError IFM_DATA naming the first row that has not
 */
export function checkFixedSlots(data: Dataset, slots: number, model: string): void {
  if (data.rows === 0 || (data.minSlots === slots && data.maxSlots === slots)) return;
  const row = firstRowWithout(data, slots);
  const found = data.rowPtr[row + 1]! - data.rowPtr[row]!;
  throw new IfmError(
    "IFM_DATA",
    `row ${row + 1} has ${found} ${found === 1 ? "slot" : "slots"}, ${model} needs ${slots} in every row`,
    {
      ...placeOf(data, row),
      hint: "one slot a field, in the same order in every row; fm takes rows of any length",
    },
  );
}

function firstRowWithout(data: Dataset, slots: number): number {
  let row = 0;
  while (data.rowPtr[row + 1]! - data.rowPtr[row]! === slots) row++;
  return row;
}
