import type { Loss, ModelConfig, TrainConfig } from "../config.js";
import { type Dataset, placeOf } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import { floatOf, type Layout, layoutOf, pairsOf, type TensorSpec } from "../model/layout.js";
import { ACTIVATION, DESC_BYTES, Desc, KEEP_ALL, LOSS, MODEL, OPTIMIZER } from "./abi.js";
import { Arena } from "./arena.js";
import { instantiateKernels, type Kernels } from "./load.js";

/** Streams of random numbers; the kernels have those of dropout (assembly/kernels/dropout.ts). */
const STREAM_SHUFFLE = 0;
const STREAM_INIT = 1;

/** Rows that are scored in one call; bounds the copy of the rows in linear memory. */
const SCORE_ROWS = 4096;

/** Scratch of a block of rows of a model with a network stays below this where it can. */
const BLOCK_BYTES = 5e5;

/** Dense gradients of all chunks together stay below this. */
const CHUNK_GRADIENT_BYTES = 8e6;
const MIN_CHUNK_ROWS = 64;

/** Optimizers and the number of states they keep for each parameter. */
const STATES = { sgd: 0, momentum: 1, adagrad: 1, adam: 2, ftrl: 2 } as const;

/** Rows in linear memory. */
interface Rows {
  labels: number;
  rowPtr: number;
  features: number;
  values: number;
  order: number;
}

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
  readonly kernels: Kernels;
  /** Chunks that a full batch is cut into. */
  readonly chunkRows: number;
  /** Slots whose feature the model does not know, among the training rows. */
  readonly unknownFeatures: number;
  readonly #desc: Desc;
  /** Pairs that the model looks at. */
  readonly #pairs: number;
  readonly #sampling: { ratio: number; after: number };
  readonly #parameters: number;
  readonly #scratch: number;
  readonly #sums: number;
  readonly #staging: Rows & { rows: number; slots: number; yHat: number };
  readonly #training: (Rows & { rows: number; visits: number; nnz: number; yHat: number }) | undefined;

  /**
   * @param module   the kernels
   * @param config   the model; parameters are 0 until `initialise` or `write`
   * @param training how and on what it is trained; without it the session can only score. `visits`: rows that an epoch
   *                 goes over, when it is not each row once
   * @param slots    slots of the longest row that will be scored (FM; other models know theirs)
   * @throws IfmError IFM_MEMORY
   */
  constructor(
    module: WebAssembly.Module,
    config: ModelConfig,
    slots: number,
    training?: { config: TrainConfig; data: Dataset; visits?: number },
  ) {
    this.config = config;
    const layout = layoutOf(config);
    this.layout = layout;
    const { Kp, Ap, rowFloats } = layout;
    const isFM = config.model === "fm";
    const M = isFM ? 0 : config.fieldOfSlot.length;
    const pairs = isFM ? [] : pairsOf(config);
    const P = pairs.length;
    this.#pairs = P;
    this.#sampling = { ratio: training?.config.samplePairs ?? 1, after: training?.config.sampleAfter ?? 0 };
    const Pp = Math.ceil(P / 4) * 4;

    const arena = new Arena();
    const desc = arena.take(DESC_BYTES);
    this.#sums = arena.take(6 * 8);
    this.#parameters = arena.take(layout.bytes);
    // States mirror the parameters at a fixed distance.
    const states = training ? STATES[training.config.optimizer] : 0;
    const state = states > 0 ? arena.take(layout.bytes) - this.#parameters : 0;
    const state2 = states > 1 ? arena.take(layout.bytes) - this.#parameters : 0;

    const attnWT = arena.take(4 * Ap * Kp);
    const fieldRows = config.model === "afm" ? 1 : (M * (M - 1)) / 2;
    const fieldPairs = arena.take(4 * (fieldRows + 1) * Kp);
    const fieldOfSlot = arena.take(4 * M);
    const pairList = arena.take(12 * Pp);
    const sampled = arena.take(12 * Pp);
    const sampleKeys = arena.take(16 * P);
    const batchNorm = config.batchNorm ? arena.take(4 * 4 * Kp) : 0;

    // Scratch of one row: offsets from one address, so that every thread can have its own.
    const row = new Arena(0);
    const inn = config.model === "inn";
    const sState = row.take(8);
    const sSlots = row.take(4 * (M + 1) * Kp);
    const sSlotGrad = row.take(4 * (M + 1) * Kp);
    // FORWARD_FLOATS, or 8 pairs; BACKWARD_LANES of all pairs (assembly/models/attended.ts).
    const sProducts = row.take(4 * Math.max(2048, 8 * Kp, Pp * Math.min(Kp, 64)));
    const sHidden = row.take(4 * Pp * Ap);
    const sHiddenT = row.take(4 * Pp * Ap);
    const sWeights = row.take(4 * Pp);
    const sDropped = row.take(4 * Pp);
    const sScores = row.take(4 * Pp);
    const sMask = row.take(2 * Pp * Math.ceil(Kp / 8) * 8);
    const sPairs = row.take(12 * Pp);
    const sPooled = row.take(config.model === "afm" ? 4 * 4 * Kp : 0);
    const sInput = inn ? row.take(4 * fieldRows * Kp) : sSlots;
    const sInputGrad = inn ? row.take(4 * (fieldRows + 1) * Kp) : sSlotGrad;
    const scratchRow = row.bytes;
    const blockRows = blockRowsFor(layout, config.loss, scratchRow);
    const block = new Arena(blockRows * scratchRow);
    const sGradients = block.take(4 * blockRows);
    const layerTable = arena.take(32 * layout.layers.length);
    let chunkFloats = isFM ? 4 : 4 + Ap * Kp + 2 * Ap + (fieldRows + 1) * Kp;
    const layers = layout.layers.map(({ rows, columns, kernel, bias }) => {
      const chunk = 4 * chunkFloats;
      chunkFloats += (rows + 1) * columns;
      const transpose = arena.take(training ? 4 * rows * columns : 0);
      const bytes = 4 * blockRows * columns;
      const [k, b] = [this.#parameters + kernel, this.#parameters + bias];
      return [rows, columns, k, b, transpose, chunk, block.take(bytes), block.take(bytes)];
    });
    this.#scratch = arena.take(block.bytes);

    const stagingSlots = isFM ? Math.max(SCORE_ROWS, slots) : SCORE_ROWS * M;
    this.#staging = {
      rows: SCORE_ROWS,
      slots: stagingSlots,
      labels: arena.take(4 * SCORE_ROWS),
      rowPtr: arena.take(4 * (SCORE_ROWS + 1)),
      features: arena.take(4 * stagingSlots),
      values: arena.take(4 * stagingSlots),
      order: arena.take(4 * SCORE_ROWS),
      yHat: arena.take(4 * SCORE_ROWS),
    };
    let rowSum = arena.take(4 * rowFloats * (isFM ? SCORE_ROWS : 0));
    let rowZ = arena.take(4 * rowFloats * (batchNorm ? SCORE_ROWS : 0));

    let trainingFields: Parameters<Desc["set"]>[0] = {};
    const segments: { offset: number; floats: number; l2: number; frozen: boolean }[] = [];
    this.chunkRows = 0;
    if (training) {
      const { config: train, data } = training;
      const paired = config.loss === "bpr" ? 2 : 1;
      const visits = training.visits ?? data.rows;
      const batch = Math.min(paired * train.batchSize, visits);
      const longest = isFM ? data.maxSlots : M;
      const most = Math.min(batch * longest, config.features);
      const nnz = data.features.length;
      const chunksThatFit = Math.max(1, Math.floor(CHUNK_GRADIENT_BYTES / (4 * chunkFloats)));
      this.chunkRows = Math.max(MIN_CHUNK_ROWS, paired * Math.ceil(batch / chunksThatFit / paired));
      const chunks = Math.ceil(batch / this.chunkRows);
      const dropout = train.keep[1] < 1;
      this.#training = {
        rows: data.rows,
        visits,
        labels: arena.take(4 * data.rows),
        rowPtr: arena.take(4 * (data.rows + 1)),
        features: arena.take(4 * nnz),
        values: data.values ? arena.take(4 * nnz) : 0,
        nnz,
        order: arena.take(4 * visits),
        yHat: arena.take(4 * batch),
      };
      if (isFM && batch > SCORE_ROWS) rowSum = arena.take(4 * rowFloats * batch);
      if (batchNorm && batch > SCORE_ROWS) rowZ = arena.take(4 * rowFloats * batch);
      const frozen = (name: string) => train.freeze.includes(name);
      for (const spec of layout.tensors) {
        if (spec.byFeature) continue;
        segments.push({
          offset: spec.offset,
          floats: spec.floats,
          l2: spec.l2 ? train.l2[spec.l2] : 0,
          frozen: !spec.trainable || frozen(spec.name),
        });
      }
      trainingFields = {
        rowDz: isFM && (dropout || config.batchNorm) ? arena.take(4 * rowFloats * batch) : 0,
        slotGrad: arena.take(isFM ? 0 : 4 * rowFloats * batch * M),
        chunkRows: this.chunkRows,
        chunkLoss: arena.take(8 * chunks),
        chunkGrad: arena.take(4 * chunkFloats * chunks),
        chunkFloats,
        slotOf: arena.take(4 * (config.features + 1)),
        touched: arena.take(4 * most),
        occStart: arena.take(4 * (most + 1)),
        occIndex: arena.take(4 * batch * longest),
        occValue: isFM ? arena.take(4 * batch * longest) : 0,
        optimizer: OPTIMIZER[train.optimizer],
        lr: train.lr,
        momentum: train.momentum,
        beta1: train.adam.beta1,
        beta2: train.adam.beta2,
        epsilon: train.adam.epsilon,
        ftrlBeta: train.ftrl.beta,
        ftrlL1: train.ftrl.l1,
        ftrlL2: train.ftrl.l2,
        exactRows: train.optimizer === "adam" && train.adam.exact ? 1 : 0,
        clipNorm: train.clipNorm,
        l2Embedding: train.l2.embedding,
        l2Linear: train.l2.linear,
        freezeEmbedding: frozen("feature_embeddings") ? 1 : 0,
        freezeLinear: frozen("feature_bias") ? 1 : 0,
        grad: arena.take(layout.table),
        state,
        state2,
        segments: arena.take(16 * segments.length),
        segmentCount: segments.length,
        rowGrad: arena.take(4 * rowFloats),
        seed: train.seed,
      };
    }

    this.memory = arena.memory(`the ${config.model} model (${config.features} features)`);
    this.kernels = instantiateKernels(module, this.memory);
    this.#desc = new Desc(this.memory, desc);
    const at = (name: string) => {
      const spec = layout.tensors.find((tensor) => tensor.name === name);
      return spec ? this.#parameters + spec.offset : 0;
    };
    this.#desc.set({
      model: MODEL[config.model],
      n: config.features,
      M,
      K: config.factors,
      Kp,
      A: config.attentionFactors,
      Ap,
      KF: config.fieldFactors,
      P,
      activation: ACTIVATION[config.activation],
      preScale: config.temperatureOn === "projection" ? 1 / config.temperature : 1,
      logitScale: config.temperatureOn === "logits" ? 1 / config.temperature : 1,
      rowFloats,
      table: this.#parameters + layout.table,
      dense: this.#parameters,
      bias: at("bias"),
      attnW: at("attention_W"),
      attnB: at("attention_b"),
      attnH: at("attention_p"),
      fieldU: at("interaction"),
      KFp: layout.KFp,
      fieldD: at("factor"),
      prediction: at("prediction"),
      gamma: at("batch_norm.gamma"),
      beta: at("batch_norm.beta"),
      movingMean: at("batch_norm.moving_mean"),
      movingVariance: at("batch_norm.moving_variance"),
      layers: layerTable,
      layerCount: layers.length,
      attnWT,
      fieldPairs,
      fieldOfSlot,
      pairs: pairList,
      fieldRows,
      sampled,
      sampleKeys,
      loss: LOSS[config.loss],
      rowSum,
      rowZ,
      batchNorm,
      blockRows,
      scratchRow,
      sGradients,
      sState,
      sSlots,
      sSlotGrad,
      sProducts,
      sHidden,
      sHiddenT,
      sWeights,
      sDropped,
      sScores,
      sMask,
      sPairs,
      sPooled,
      sInput,
      sInputGrad,
      keepWeights: training ? this.kernels.keepThreshold(training.config.keep[0]) : KEEP_ALL,
      keepProducts: training ? this.kernels.keepThreshold(training.config.keep[1]) : KEEP_ALL,
      ...trainingFields,
    });

    this.#u32(fieldOfSlot, M).set(config.fieldOfSlot.slice(0, M));
    const list = this.#u32(pairList, 3 * Pp);
    pairs.forEach(({ s, t, p }, i) => {
      list.set([4 * Kp * s, 4 * Kp * t, config.model === "afm" ? 0 : 4 * Kp * p], 3 * i);
    });
    for (let i = P; i < Pp; i++) list.set([4 * Kp * M, 4 * Kp * M, 4 * Kp * fieldRows], 3 * i);
    layers.forEach((layer, l) => {
      this.#u32(layerTable + 32 * l, 8).set(layer);
    });
    this.#identity(this.#staging.order, SCORE_ROWS);

    this.unknownFeatures = 0;
    if (training && this.#training) {
      const { data } = training;
      const segmentView = new DataView(this.memory.buffer, trainingFields.segments);
      segments.forEach(({ offset, floats, l2, frozen }, i) => {
        segmentView.setUint32(16 * i, offset, true);
        segmentView.setUint32(16 * i + 4, floats, true);
        segmentView.setFloat32(16 * i + 8, l2, true);
        segmentView.setUint32(16 * i + 12, frozen ? 1 : 0, true);
      });
      this.#f32(this.#training.labels, data.rows).set(data.labels);
      this.#u32(this.#training.rowPtr, data.rows + 1).set(data.rowPtr);
      this.unknownFeatures = this.#writeFeatures(this.#training.features, data.features);
      if (data.values) this.#f32(this.#training.values, data.values.length).set(data.values);
    }
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

  /** Copies feature ids; ids beyond the table become n, the record that stays zero. Returns how many there were. */
  #writeFeatures(address: number, features: Uint32Array): number {
    const n = this.config.features;
    const target = this.#u32(address, features.length);
    target.set(features);
    let unknown = 0;
    for (let i = 0; i < target.length; i++) {
      if (target[i]! >= n) {
        target[i] = n;
        unknown++;
      }
    }
    return unknown;
  }

  /** Fills every tensor with its initial values. */
  initialise(seed: number): void {
    this.layout.tensors.forEach((spec, index) => {
      const { init, rows, cols, group } = spec;
      if (init.kind === "constant") {
        if (init.value !== 0) this.write(spec, new Float32Array(rows * cols).fill(init.value));
        return;
      }
      // Group by group, each with a key of its own: numbers do not depend on the padding between groups.
      for (let first = 0, g = 0; first < rows; first += group.size, g++) {
        const address = this.#parameters + spec.offset + 4 * g * group.stride * spec.stride;
        const key = this.kernels.key(seed, STREAM_INIT, index, g);
        this.kernels.fillNormal(address, group.size, cols, spec.stride, key, init.std);
      }
    });
  }

  /** Optimizer state before the first step; after `initialise` and `write`. */
  initialiseState(): void {
    this.kernels.initState(this.#desc.address, this.#parameters, this.layout.bytes / 4);
  }

  /** A tensor's numbers in its logical shape, without padding. */
  read(spec: TensorSpec): Float32Array {
    const { rows, cols } = spec;
    const out = new Float32Array(rows * cols);
    const source = this.#f32(this.#parameters + spec.offset, spec.floats);
    for (let r = 0; r < rows; r++) {
      const at = floatOf(spec, r);
      if (cols === 1) out[r] = source[at]!;
      else out.set(source.subarray(at, at + cols), r * cols);
    }
    return out;
  }

  /** Writes the first `data.length / cols` rows of a tensor. */
  write(spec: TensorSpec, data: Float32Array): void {
    const { cols } = spec;
    const target = this.#f32(this.#parameters + spec.offset, spec.floats);
    for (let r = 0; r < data.length / cols; r++) {
      const at = floatOf(spec, r);
      if (cols === 1) target[at] = data[r]!;
      else target.set(data.subarray(r * cols, (r + 1) * cols), at);
    }
  }

  /** Whether every parameter is a finite number. */
  isFinite(): boolean {
    return this.kernels.allFinite(this.#parameters, this.layout.bytes / 4) === 1;
  }

  /** All parameters as they lie in memory: a view, for snapshots. */
  parameters(): Float32Array {
    return this.#f32(this.#parameters, this.layout.bytes / 4);
  }

  /** Puts the training rows into the order of an epoch: file order, or shuffled by (seed, epoch) alone. */
  order(epoch: number, seed: number, shuffle: boolean): void {
    const { order, rows } = this.#training!;
    this.#identity(order, rows);
    if (shuffle) this.kernels.shuffle(order, rows, this.kernels.key(seed, STREAM_SHUFFLE, epoch, 0));
  }

  /** The training rows, to be arranged by who knows in which order an epoch visits them. */
  trainingRows(): RowViews {
    const { order, visits, features, values, nnz } = this.#training!;
    return {
      order: this.#u32(order, visits),
      features: this.#u32(features, nnz),
      values: values === 0 ? undefined : this.#f32(values, nnz),
      unknown: this.config.features,
    };
  }

  /** Selects the training rows for `trainBatch`. */
  beginTraining(): void {
    const { labels, rowPtr, features, values, order, yHat } = this.#training!;
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
    return this.kernels.trainBatch(this.#desc.address, this.#scratch);
  }

  /** Adds the metrics of the batch that was computed last. */
  addMetrics({ low, high, threshold, middle }: Cuts): void {
    this.kernels.metricSums(this.#sums, this.#desc.address, low, high, threshold, middle);
  }

  /** The sums since the last call; starts from 0 again. */
  takeSums(): Sums {
    const view = new Float64Array(this.memory.buffer, this.#sums, 6);
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
    const { order, labels, rows, visits } = this.#training!;
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
    const { rows: maxRows, slots: maxSlots, labels, rowPtr, features, values, order, yHat } = this.#staging;
    this.checkSlots(data);
    const { address } = this.#desc;
    this.#desc.set({ sampleCount: this.#sampleCount(samplePairs), sampleNoise: 0 });
    for (let first = 0; first < data.rows; ) {
      // As many rows as fit; one row always does.
      const begin = data.rowPtr[first]!;
      let end = Math.min(data.rows, first + maxRows);
      if (data.rowPtr[end]! - begin > maxSlots) {
        end = first + 1;
        while (end < data.rows && data.rowPtr[end + 1]! - begin <= maxSlots) end++;
      }
      const count = end - first;
      const rowPtrView = this.#u32(rowPtr, count + 1);
      for (let i = 0; i <= count; i++) rowPtrView[i] = data.rowPtr[first + i]! - begin;
      this.#writeFeatures(features, data.features.subarray(begin, data.rowPtr[end]));
      if (data.values) this.#f32(values, maxSlots).set(data.values.subarray(begin, data.rowPtr[end]));
      this.#f32(labels, count).set(data.labels.subarray(first, end));
      this.#desc.set({ labels, rowPtr, features, values: data.values ? values : 0, order, yHat, first: 0, count });
      this.kernels.predictBatch(address, this.#scratch);
      yield { first, scores: this.#f32(yHat, count) };
      first = end;
    }
  }

  /** Pairs that are drawn; 0 = all are taken. */
  #sampleCount(ratio: number): number {
    return ratio < 1 ? Math.max(1, Math.floor(ratio * this.#pairs)) : 0;
  }

  /** Models whose fields are the slots' positions need the same number of slots in every row. */
  checkSlots(data: Dataset): void {
    if (this.config.model === "fm") {
      if (data.maxSlots <= this.#staging.slots) return;
      throw new IfmError("IFM_DATA", `a row has ${data.maxSlots} slots, expected at most ${this.#staging.slots}`, {
        file: data.name,
      });
    }
    checkFixedSlots(data, this.config.fieldOfSlot.length, this.config.model);
  }
}

/**
 * Rows that go through a network together: the kernels' gradients are loaded and stored once a block, but the block's
 * scratch has to stay in cache. Models without a network work row by row, or pair by pair.
 */
function blockRowsFor({ layers }: Layout, loss: Loss, scratchRow: number): number {
  if (layers.length === 0) return loss === "bpr" ? 2 : 1;
  return Math.min(16, Math.max(4, 4 * Math.floor(BLOCK_BYTES / scratchRow / 4)));
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
