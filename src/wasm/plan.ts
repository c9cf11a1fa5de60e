import type { Loss, ModelConfig, TrainConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";
import { type Layout, layoutOf, pairsOf } from "../model/layout.js";
import type { Dtype } from "../model/safetensors.js";
import { ACTIVATION, DESC_BYTES, type DescFields, KEEP_ALL, LOSS, MODEL, OPTIMIZER, TABLE } from "./abi.js";
import { Arena } from "./arena.js";
import { planServing, type ServingPlan } from "./serving.js";
import { CONTROL_BYTES } from "./thread.js";

/** Rows that are scored in one call; bounds the copy of the rows in linear memory. */
export const SCORE_ROWS = 4096;

/**
 * Slots of FM's rows that are scored in one call, unless one row has more; the other models know how many a row has. With a
 * sixteenth of them, rows of ten slots came 409 at a time: seven jobs, which two threads share badly (FM K = 64 on Frappe
 * then 1.6 × as fast as one thread, now 1.7 ×), and K = 8 took 1.14 × as long on one.
 */
export const SCORE_SLOTS = 65536;

/** Scratch of a block of rows of a model with a network stays below this where it can. */
const BLOCK_BYTES = 5e5;

/** FM's rows need next to no scratch. 16 a block train 1.1 × as fast as one (K = 8, 64), K = 8 predicts 1.1 × as fast. */
const FM_BLOCK_ROWS = 16;

/**
 * FM on one thread sums short gradients by feature as rows come (assembly/kernels/scatter.ts); longer ones, and on several
 * threads, after a sort.
 */
const SCATTER_LANES = 8;

/** Dense gradients of all chunks together stay below this. */
const CHUNK_GRADIENT_BYTES = 8e6;
const MIN_CHUNK_ROWS = 64;

/** Optimizers and the number of states they keep for each parameter. */
const STATES = { sgd: 0, momentum: 1, adagrad: 1, adam: 2, ftrl: 2 } as const;

/** Rows in linear memory: addresses. */
export interface Rows {
  labels: number;
  rowPtr: number;
  features: number;
  values: number;
  order: number;
  yHat: number;
}

/** Room for rows that are scored. */
export interface Staging extends Rows {
  rows: number;
  slots: number;
}

/** The training rows. */
export interface TrainingRows extends Rows {
  rows: number;
  /** Rows that an epoch visits. */
  visits: number;
  nnz: number;
}

/** How and on what a model is trained. */
export interface TrainingPlan {
  config: TrainConfig;
  data: Dataset;
  /** Rows that an epoch visits, when it is not each row once. */
  visits?: number;
  /** Buffers of the rows that can shrink do so while they are copied; `Session.rowData` is what is left of the rows. */
  release?: boolean;
}

/** Where everything of a session lies in its memory, and what the kernels are told of it. */
export interface MemoryPlan {
  readonly layout: Layout;
  readonly arena: Arena;
  readonly desc: number;
  /** Control block of the threads. */
  readonly control: number;
  readonly sums: number;
  readonly parameters: number;
  /** Of each thread. */
  readonly scratch: readonly number[];
  /** One; two where several threads score: the next rows are copied into one while those of the other are scored. */
  readonly staging: readonly Staging[];
  /** Row numbers 0, 1, …, u32[SCORE_ROWS]: the order in which rows are scored. */
  readonly identity: number;
  readonly serving: ServingPlan;
  readonly training: TrainingRows | undefined;
  /** Chunks that a full batch is cut into have so many rows. */
  readonly chunkRows: number;
  /** Pairs that the model looks at. */
  readonly pairs: number;
  readonly fields: DescFields;
  /** Writes the lists that the kernels read. */
  fill(memory: WebAssembly.Memory): void;
}

/**
 * Lays out the memory of a session. Nothing is allocated.
 *
 * @param slots   slots of the longest row that will be scored (FM; other models know theirs)
 * @param threads each has a scratch of its own
 * @param dtype   of the table; it is trained as F32
 */
export function planMemory(
  config: ModelConfig,
  slots: number,
  training: TrainingPlan | undefined,
  threads: number,
  dtype: Dtype = "F32",
): MemoryPlan {
  const layout = layoutOf(config, dtype);
  const { Kp, Ap, rowFloats } = layout;
  const isFM = config.model === "fm";
  const M = isFM ? 0 : config.fieldOfSlot.length;
  const pairs = isFM ? [] : pairsOf(config);
  const P = pairs.length;
  const Pp = Math.ceil(P / 4) * 4;

  const arena = new Arena();
  const desc = arena.take(DESC_BYTES);
  const control = arena.take(CONTROL_BYTES);
  const sums = arena.take(6 * 8);
  const parameters = arena.take(layout.bytes);
  // States mirror the parameters at a fixed distance.
  const states = training ? STATES[training.config.optimizer] : 0;
  const state = states > 0 ? arena.take(layout.bytes) - parameters : 0;
  const state2 = states > 1 ? arena.take(layout.bytes) - parameters : 0;

  const attnWT = arena.take(4 * Ap * Kp);
  const fieldRows = config.model === "afm" ? 1 : (M * (M - 1)) / 2;
  const fieldPairs = arena.take(4 * (fieldRows + 1) * Kp);
  const fieldOfSlot = arena.take(4 * M);
  const pairList = arena.take(12 * Pp);
  const sampled = arena.take(12 * Pp);
  const sampleKeys = arena.take(16 * P);
  const zeros = dtype === "F32" ? 0 : arena.take(8 * Kp);
  const batchNorm = config.batchNorm ? arena.take(4 * 4 * Kp) : 0;

  // Scratch of one row: offsets from one address, so that every thread can have its own.
  const row = new Arena(0);
  const inn = config.model === "inn";
  const sharedRows = sharedRowsFor(config, Kp * Ap, P);
  const sState = row.take(8);
  const sHidden = row.take(4 * Pp * Ap);
  const sWeights = row.take(4 * Pp);
  const sDropped = row.take(4 * Pp);
  const sScores = row.take(4 * Pp);
  const sRowSlots = row.take(sharedRows > 0 ? 4 * M : 0);
  const sRowPairs = row.take(sharedRows > 0 ? 4 * Pp : 0);
  const masked = !isFM && training !== undefined && training.config.keep[1] < 1;
  const sharedRow = row.bytes;
  const sSlots = row.take(4 * (M + 1) * Kp);
  const sSlotGrad = row.take(4 * (M + 1) * Kp);
  // FORWARD_FLOATS, or 8 pairs; BACKWARD_LANES of all pairs (assembly/models/attended.ts), or of BACKWARD_PAIRS.
  const together = Math.max(sharedRows > 0 ? 48 : 0, Pp);
  const sProducts = row.take(4 * Math.max(2048, 8 * Kp, together * Math.min(Kp, 64)));
  const sHiddenT = row.take(4 * together * Ap);
  // More than its Pp Kp16 bytes: the size of a row decides on rows of a block, and that is part of a seed's bits.
  const sMask = row.take(2 * Pp * Math.ceil(Kp / 8) * 8);
  const sPairs = row.take(12 * Pp);
  const sInput = inn ? row.take(4 * fieldRows * Kp) : sSlots;
  const sInputGrad = inn ? row.take(4 * (fieldRows + 1) * Kp) : sSlotGrad;
  const blockRows = isFM ? FM_BLOCK_ROWS : blockRowsFor(layout, config.loss, row.bytes);
  // Groups of forward, MASKED_LANES of those of backward (assembly/kernels/masked.ts). Behind what decides on rows of a block.
  const sMasked = row.take(masked && !inn ? 4 * Math.max(2048, 8 * Kp, 64 * together) : 0);
  const scratchRow = row.bytes;
  const block = new Arena(blockRows * scratchRow);
  const sGradients = block.take(4 * Math.max(blockRows, sharedRows));
  const sRowGrad = block.take(4 * rowFloats);
  let shared: DescFields = {};
  if (sharedRows > 0) {
    const mostSlots = 1 + sharedRows * M;
    const mostPairs = Math.ceil((1 + sharedRows * P) / 4) * 4;
    // Less than half of the places are taken.
    const tableBits = 33 - Math.clz32(Math.max(mostSlots, mostPairs));
    shared = {
      sharedRows,
      sharedRow,
      sRowSlots,
      sRowPairs,
      sShared: block.take(sharedRows * sharedRow),
      sCounts: block.take(12),
      tableShift: 32 - tableBits,
      sTables: block.take(8 * 2 ** tableBits),
      sDistinct: block.take(12 * mostSlots),
      sBlockSlots: block.take(4 * mostSlots * Kp),
      sBlockGrad: block.take(4 * mostSlots * Kp),
      sBlockPairs: block.take(12 * mostPairs),
      sPairHidden: block.take(4 * mostPairs * Ap),
      sPairScores: block.take(4 * mostPairs),
      sFirst: block.take(masked ? 4 * (mostPairs + 1) : 0),
      sOccurrences: block.take(masked ? 32 * sharedRows * P : 0),
      sMasks: block.take(
        masked ? 16 * sharedRows * (config.model === "afm" ? Math.ceil(Kp / 16) : Math.ceil(Kp / 128) * P) : 0,
      ),
    };
  }
  const layerTable = arena.take(32 * layout.layers.length);
  let chunkFloats = isFM ? 4 : 4 + Ap * Kp + 2 * Ap + (fieldRows + 1) * Kp;
  const layers = layout.layers.map(({ rows, columns, kernel, bias }) => {
    const chunk = 4 * chunkFloats;
    chunkFloats += (rows + 1) * columns;
    const transpose = arena.take(training ? 4 * rows * columns : 0);
    const bytes = 4 * blockRows * columns;
    const [k, b] = [parameters + kernel, parameters + bias];
    return [rows, columns, k, b, transpose, chunk, block.take(bytes), block.take(bytes)];
  });
  const scratch = Array.from({ length: threads }, () => arena.take(block.bytes));

  const stagingSlots = isFM ? Math.max(SCORE_SLOTS, slots) : SCORE_ROWS * M;
  const identity = arena.take(4 * SCORE_ROWS);
  const staging = Array.from({ length: threads > 1 ? 2 : 1 }, () => ({
    rows: SCORE_ROWS,
    slots: stagingSlots,
    labels: arena.take(4 * SCORE_ROWS),
    rowPtr: arena.take(4 * (SCORE_ROWS + 1)),
    features: arena.take(4 * stagingSlots),
    values: arena.take(4 * stagingSlots),
    order: identity,
    yHat: arena.take(4 * SCORE_ROWS),
  }));
  const serving = planServing(arena, config, layout);
  let rowSum = arena.take(4 * rowFloats * (isFM ? SCORE_ROWS : 0));

  let trainingFields: DescFields = {};
  let trainingRows: TrainingRows | undefined;
  let chunkRows = 0;
  const segments: { offset: number; floats: number; l2: number; frozen: boolean }[] = [];
  if (training) {
    const { config: train, data } = training;
    const paired = config.loss === "bpr" ? 2 : 1;
    const visits = training.visits ?? data.rows;
    const batch = Math.min(paired * train.batchSize, visits);
    const longest = isFM ? data.maxSlots : M;
    const most = Math.min(batch * longest, config.features);
    const nnz = data.features.length;
    const chunksThatFit = Math.max(1, Math.floor(CHUNK_GRADIENT_BYTES / (4 * chunkFloats)));
    chunkRows = Math.max(MIN_CHUNK_ROWS, paired * Math.ceil(batch / chunksThatFit / paired));
    const chunks = Math.ceil(batch / chunkRows);
    const dropout = train.keep[1] < 1;
    trainingRows = {
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
    const scatters = isFM && !batchNorm && !dropout && threads === 1 && Kp <= SCATTER_LANES;
    const occurrences = scatters ? 0 : batch * longest;
    trainingFields = {
      rowDy: isFM ? arena.take(4 * batch) : 0,
      rowZ: batchNorm ? arena.take(4 * rowFloats * batch) : 0,
      rowDz: batchNorm ? arena.take(4 * rowFloats * batch) : 0,
      slotGrad: arena.take(isFM ? 0 : 4 * rowFloats * batch * M),
      chunkRows,
      chunkLoss: arena.take(8 * chunks),
      chunkGrad: arena.take(4 * chunkFloats * chunks),
      chunkFloats,
      slotOf: arena.take(4 * (config.features + 1)),
      touched: arena.take(4 * (most + 1)),
      occStart: arena.take(4 * (most + 1)),
      occIndex: arena.take(4 * occurrences),
      occValue: isFM && data.values ? arena.take(4 * occurrences) : 0,
      featureGrad: scatters ? arena.take(4 * rowFloats * (most + 1)) : 0,
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
      squares: train.clipNorm > 0 ? arena.take(8 * most) : 0,
      seed: train.seed,
    };
  }

  const at = (name: string) => {
    const spec = layout.tensors.find((tensor) => tensor.name === name);
    return spec ? parameters + spec.offset : 0;
  };
  const fields: DescFields = {
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
    table: parameters + layout.table,
    dense: parameters,
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
    batchNorm,
    blockRows,
    scratchRow,
    sGradients,
    sRowGrad,
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
    sMasked,
    sInput,
    sInputGrad,
    tableFormat: TABLE[layout.dtype],
    recordBytes: layout.recordBytes,
    zeros,
    keepWeights: KEEP_ALL,
    keepProducts: KEEP_ALL,
    ...shared,
    ...trainingFields,
  };
  const fill = ({ buffer }: WebAssembly.Memory) => {
    const u32 = (address: number, length: number) => new Uint32Array(buffer, address, length);
    serving.fill(buffer);
    u32(fieldOfSlot, M).set(config.fieldOfSlot.slice(0, M));
    const list = u32(pairList, 3 * Pp);
    pairs.forEach(({ s, t, p }, i) => {
      list.set([4 * Kp * s, 4 * Kp * t, config.model === "afm" ? 0 : 4 * Kp * p], 3 * i);
    });
    for (let i = P; i < Pp; i++) list.set([4 * Kp * M, 4 * Kp * M, 4 * Kp * fieldRows], 3 * i);
    layers.forEach((layer, l) => {
      u32(layerTable + 32 * l, 8).set(layer);
    });
    const segmentView = new DataView(buffer, trainingFields.segments ?? 0);
    segments.forEach(({ offset, floats, l2, frozen }, i) => {
      segmentView.setUint32(16 * i, offset, true);
      segmentView.setUint32(16 * i + 4, floats, true);
      segmentView.setFloat32(16 * i + 8, l2, true);
      segmentView.setUint32(16 * i + 12, frozen ? 1 : 0, true);
    });
  };
  return {
    layout,
    arena,
    desc,
    control,
    sums,
    parameters,
    scratch,
    staging,
    serving,
    identity,
    training: trainingRows,
    chunkRows,
    pairs: P,
    fields,
    fill,
  };
}

/**
 * Rows that go through a network together: the kernels' gradients are loaded and stored once a block, but the block's
 * scratch has to stay in cache. Models without a network work row by row, or pair by pair.
 */
function blockRowsFor({ layers }: Layout, loss: Loss, scratchRow: number): number {
  if (layers.length === 0) return loss === "bpr" ? 2 : 1;
  return Math.min(16, Math.max(4, 4 * Math.floor(BLOCK_BYTES / scratchRow / 4)));
}

/** A block is a job of SCORES, and the smallest chunk. */
const SHARED_ROWS = 64;

/** What is kept of the distinct pairs of a block would leave the second cache with more pairs in a row. */
const MOST_SHARED_PAIRS = 128;

/** Weights of the attention: with fewer, looking for the distinct pairs costs what they save. */
const LEAST_SHARED_WEIGHTS = 512;

/** Rows that compute their pairs together (assembly/models/shared.ts), or 0. */
function sharedRowsFor({ model }: ModelConfig, weights: number, P: number): number {
  if (model !== "afm" && model !== "ifm") return 0;
  return weights < LEAST_SHARED_WEIGHTS || P > MOST_SHARED_PAIRS ? 0 : SHARED_ROWS;
}
