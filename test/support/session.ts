import { type TrainConfig, validateModelConfig, validateTrainConfig } from "../../src/config.js";
import type { Dataset } from "../../src/data/dataset.js";
import { floatOf, pairsOf } from "../../src/model/layout.js";
import type { TrainOptions } from "../../src/train/trainer.js";
import { Desc } from "../../src/wasm/abi.js";
import type { KernelBuild } from "../../src/wasm/load.js";
import { HEAP_BASE, type Kernels } from "../../src/wasm/load.js";
import { Session } from "../../src/wasm/session.js";
import {
  allPairs,
  type Optimizer,
  type RefConfig,
  type RefModel,
  type RefRow,
  type RowOptions,
  tensorShapes,
} from "../reference/index.js";
import { assertClose, largest, nearly } from "./compare.js";
import { dropoutMask, keepThreshold, MASK_KEYS, randomKey, STREAM_PRODUCTS, STREAM_WEIGHTS } from "./dropout.js";
import { fillWithNaN } from "./memory.js";
import { Random } from "./random.js";
import { pad4 } from "./sweep.js";

// Models and rows that twin and kernels share: all numbers are f32 numbers

/** A whole configuration from the part that matters. Slot s has field s unless said otherwise. */
export function configOf(part: Partial<RefConfig> & Pick<RefConfig, "model">, slots = 0): RefConfig {
  const fieldOfSlot = part.fieldOfSlot ?? (part.model === "fm" ? [] : Array.from({ length: slots }, (_, s) => s));
  return {
    features: 17,
    fields: Math.max(part.model === "fm" ? 0 : 1, ...fieldOfSlot.map((field) => field + 1)),
    factors: 5,
    attentionFactors: 3,
    fieldFactors: 2,
    hidden: [],
    activation: "relu",
    temperature: 2,
    temperatureOn: "logits",
    loss: "squared",
    fieldOfSlot,
    excludeSameField: false,
    ...part,
  };
}

/** Distinct weights, of sizes that keep attention logits, F_p and scores around 1 for any K. */
export function modelOf(config: RefConfig, seed: number, batchNorm = false): RefModel {
  const random = new Random(seed);
  const { factors: K, fieldFactors: KF } = config;
  const sizes: Record<string, number> = {
    feature_embeddings: config.model === "fm" ? K ** -0.25 : 1,
    attention_W: 3 / Math.sqrt(K),
    factor: 3 / Math.sqrt(K * KF),
    "mlp.0.kernel": 3 / Math.sqrt(K),
  };
  const tensors = Object.fromEntries(
    Object.entries(tensorShapes(config, batchNorm)).map(([name, shape]) => {
      const size = sizes[name] ?? 1;
      const length = shape.reduce((product, extent) => product * extent, 1);
      const low = name === "batch_norm.moving_variance" ? 0.25 : -size;
      return [name, { shape, data: Float64Array.from(random.values(length, low, size)) }];
    }),
  );
  return { config, tensors };
}

export interface RowsOptions {
  /** Every value is 1. */
  ones?: boolean;
  /** Ids up to this many beyond the table. */
  unknown?: number;
  /** Slots of the longest row; the others have any number of them (FM only). */
  upTo?: number;
  labels?: readonly number[];
}

/** Rows whose features repeat, within a row and within a batch. */
export function rowsOf(config: RefConfig, count: number, seed: number, options: RowsOptions = {}): RefRow[] {
  const random = new Random(seed);
  const { ones = false, unknown = 0, upTo = 0, labels = [1, -1] } = options;
  return Array.from({ length: count }, () => {
    const length = config.model === "fm" ? random.int(upTo + 1) : config.fieldOfSlot.length;
    const slots = Array.from({ length }, () => ({
      feature: random.int(config.features + unknown),
      value: ones ? 1 : Math.fround(random.value(0.25, 1.5) * random.pick([1, -1])),
    }));
    return { label: random.pick(labels), slots };
  });
}

/** Rows that have most of their pairs in common: each slot is that of one of a few rows. */
export function repeatingRows(few: readonly RefRow[], count: number, seed: number): RefRow[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const { label, slots } = random.pick(few);
    return { label, slots: slots.map((_, s) => random.pick(few).slots[s]!) };
  });
}

export function datasetOf(rows: readonly RefRow[], name = "rows"): Dataset {
  const slots = rows.flatMap((row) => row.slots);
  const rowPtr = new Uint32Array(rows.length + 1);
  rows.forEach((row, r) => {
    rowPtr[r + 1] = rowPtr[r]! + row.slots.length;
  });
  const lengths = rows.map((row) => row.slots.length);
  const labels = Float32Array.from(rows, (row) => row.label);
  return {
    name,
    rows: rows.length,
    labels,
    rowPtr,
    features: Uint32Array.from(slots, ({ feature }) => feature),
    values: slots.every(({ value }) => value === 1) ? null : Float32Array.from(slots, ({ value }) => value),
    featureCount: Math.max(0, ...slots.map(({ feature }) => feature + 1)),
    minSlots: Math.min(...lengths),
    maxSlots: Math.max(...lengths),
    labelMin: Math.min(...labels),
    labelMax: Math.max(...labels),
  };
}

/** The twin's name for an optimizer of the program. */
export function twinOptimizer({ optimizer, lr, momentum, adam, ftrl }: TrainConfig): Optimizer {
  if (optimizer === "momentum") return { rule: optimizer, lr, mu: momentum, rows: "lazy" };
  if (optimizer === "adam") return { rule: optimizer, lr, ...adam, rows: adam.exact ? "exact" : "lazy" };
  if (optimizer === "ftrl") return { rule: optimizer, lr, beta: ftrl.beta, lambda1: ftrl.l1, lambda2: ftrl.l2 };
  return { rule: optimizer, lr };
}

/**
 * The dropout masks of a batch in the twin's terms. The kernels number the pairs of a row that take part; the twin all.
 */
export function dropoutOptions(
  config: RefConfig,
  train: TrainConfig,
  step: number,
  rows: readonly RefRow[],
): RowOptions[] {
  const { factors: K, features: n, model } = config;
  const [ofWeights, ofProducts] = train.keep.map(keepThreshold) as [number, number];
  return rows.map((row, b) => {
    const productKey = randomKey(train.seed, STREAM_PRODUCTS, step, b);
    if (model === "fm") {
      const mask = dropoutMask(productKey, K, ofProducts);
      return { dropout: [{ mask, keep: ofProducts / 65536 }, undefined] };
    }
    const all = allPairs(row.slots.length);
    // AFM drops of the pooled vector, the others of each pair's product.
    const pooled = model === "afm" ? dropoutMask(productKey, K, ofProducts) : undefined;
    const listed = pairsOf({ ...config, batchNorm: false }).filter(
      ({ s, t }) => row.slots[s]!.feature < n && row.slots[t]!.feature < n,
    );
    const weightMask = dropoutMask(randomKey(train.seed, STREAM_WEIGHTS, step, b), listed.length, ofWeights);
    const weights = new Array<number>(all.length).fill(1);
    const products = new Array<number>(all.length * K).fill(1);
    listed.forEach(({ p }, i) => {
      weights[p] = weightMask[i]!;
      const mask = dropoutMask(productKey + MASK_KEYS * i, K, ofProducts);
      for (let k = 0; k < K; k++) products[p * K + k] = mask[k]!;
    });
    return {
      dropout: [
        { mask: weights, keep: ofWeights / 65536 },
        { mask: pooled ?? products, keep: ofProducts / 65536 },
      ],
    };
  });
}

/** A Session with a model and rows of its own, and the looks inside that tests need. */
export class TestSession {
  readonly session: Session;
  readonly train: TrainConfig;
  readonly rows: number;
  /** Rows of what the loss is a sum over. */
  readonly unit: number;
  readonly desc: Desc;
  #step = 0;

  /**
   * @param train   `keep` and so on; without momentum as optimizer there are no `gradients`
   * @param threads room for so many; with several, jobs of a phase may run in any order
   */
  constructor(kernels: KernelBuild, model: RefModel, rows: readonly RefRow[], train: TrainOptions = {}, threads = 1) {
    const config = { ...model.config, batchNorm: "batch_norm.gamma" in model.tensors };
    this.train = validateTrainConfig(
      { batchSize: rows.length, bpr: { groupBy: [0] }, ...train } as Partial<TrainConfig>,
      config.model,
      config.loss,
    );
    this.rows = rows.length;
    this.unit = config.loss === "bpr" ? 2 : 1;
    const data = datasetOf(rows);
    const plan = { config: this.train, data };
    this.session = new Session(kernels, validateModelConfig({ ...config }), data.maxSlots, plan, threads);
    this.desc = new Desc(this.session.memory, descAddress(this.session));
    for (const spec of this.session.layout.tensors) {
      this.session.write(spec, Float32Array.from(model.tensors[spec.name]!.data));
    }
    this.session.initialiseState();
    this.session.beginTraining();
    this.session.order(1, 0, false);
  }

  get kernels(): Kernels {
    return this.session.kernels;
  }

  /** What `Session.trainBatch` is told for the next batch. */
  nextBatch(first = 0, count = this.rows) {
    const step = this.#step++;
    const { adam, reduction } = this.train;
    return {
      first,
      count,
      step,
      dyScale: reduction === "mean" ? this.unit / count : 1,
      correction1: 1 / (1 - adam.beta1 ** (step + 1)),
      correction2: 1 / (1 - adam.beta2 ** (step + 1)),
    };
  }

  /** One step on rows first … first + count - 1. Returns the loss summed over them. */
  trainBatch(first = 0, count = this.rows): number {
    return this.session.trainBatch(this.nextBatch(first, count));
  }

  /** Training scores of the batch before. */
  batchScores(count = this.rows): Float32Array {
    return this.session.batchScores(count).slice();
  }

  /** Distinct pairs, padded to 4, of the last block of the training rows; 0: its rows do not share them. */
  sharedPairs(): number {
    const { desc, session } = this;
    if (!desc.get("sharedRows")) return 0;
    const scratch = this.newScratch();
    this.kernels.predictBatch(desc.address, scratch);
    return new Uint32Array(session.memory.buffer, scratch + desc.get("sCounts"), 3)[2]!;
  }

  /** Scores as at prediction; the training rows are selected again afterwards. */
  predict(rows: readonly RefRow[]): Float32Array {
    const out = new Float32Array(rows.length);
    for (const { first, scores } of this.session.scoreBlocks(datasetOf(rows))) out.set(scores, first);
    this.session.beginTraining();
    return out;
  }

  tensors(): Record<string, Float32Array> {
    return Object.fromEntries(this.session.layout.tensors.map((spec) => [spec.name, this.session.readFloats(spec)]));
  }

  /** The gradients of the first batch: m of the momentum optimizer after one step. */
  gradients(): Record<string, Float32Array> {
    const m = this.state();
    return Object.fromEntries(
      this.session.layout.tensors.flatMap((spec) => {
        const { name, rows, cols, offset, trainable } = spec;
        if (!trainable) return [];
        const out = new Float32Array(rows * cols);
        for (let r = 0; r < rows; r++) {
          const at = offset / 4 + floatOf(spec, r);
          out.set(m.subarray(at, at + cols), r * cols);
        }
        return [[name, out]];
      }),
    );
  }

  /** The first state of every parameter, padding and all; a view. */
  state(which: "state" | "state2" = "state"): Float32Array {
    const distance = this.desc.get(which);
    if (distance === 0) return new Float32Array(0);
    const { buffer } = this.session.memory;
    return new Float32Array(buffer, this.desc.get("dense") + distance, this.session.layout.bytes / 4);
  }

  /** Weights and states as they lie in memory, to compare bit for bit. */
  everything(): Float32Array {
    return Float32Array.from([...this.session.parameters(), ...this.state(), ...this.state("state2")]);
  }

  /** Scratch of one block of rows in new memory, full of NaN: what was there before must not matter. */
  readonly newScratch = (): number => {
    const { desc } = this;
    const rows = desc.get("blockRows");
    const table = new Uint32Array(this.session.memory.buffer, desc.get("layers"), 8 * desc.get("layerCount"));
    const ends = Array.from({ length: table.length / 8 }, (_, l) => {
      const [, columns, , , , , hidden, gradient] = table.subarray(8 * l, 8 * l + 8);
      return Math.max(hidden!, gradient!) + 4 * rows * columns!;
    });
    ends.push(
      desc.get("sRowGrad") + 4 * desc.get("rowFloats"),
      desc.get("sPairScores") + 4 * pad4(1 + desc.get("sharedRows") * desc.get("P")),
      desc.get("sMasks") + 16 * Math.ceil(desc.get("Kp") / 16) * desc.get("sharedRows") * desc.get("P"),
    );
    const bytes = Math.max(...ends);
    const page = this.session.memory.grow(Math.ceil(bytes / 65536));
    const address = page * 65536;
    const { buffer } = this.session.memory;
    fillWithNaN(buffer, address, buffer.byteLength);
    return address;
  };
}

/** Where a Session keeps its Desc: it is the first thing it takes. */
export function descAddress(session: Session): number {
  const { config } = session;
  for (let address = HEAP_BASE; address <= HEAP_BASE + 128; address += 64) {
    const desc = new Desc(session.memory, address);
    if (desc.get("n") === config.features && desc.get("K") === config.factors) return address;
  }
  throw new Error("the Desc is not where it was");
}

/**
 * Tensors of kernels and twin, each relative to its largest value. Sums that are 0 but for rounding (the gradient of b
 * when act is the identity) are relative to a hundredth of the largest value of all.
 */
export function assertTensors(
  what: string,
  actual: Record<string, ArrayLike<number>>,
  expected: Record<string, ArrayLike<number>>,
  tolerance: number,
): void {
  const names = Object.keys(expected).sort();
  const found = Object.keys(actual).sort();
  if (found.join() !== names.join()) throw new Error(`${what}: expected tensors ${names}, got ${found}`);
  const most = Math.max(...Object.values(expected).map(largest));
  for (const name of names) {
    const values = expected[name]!;
    // A bias's gradient is a sum over all rows whose terms may cancel.
    const terms = /(^|\.)bias$/.test(name) ? most : most / 100;
    assertClose(`${what}: ${name}`, actual[name]!, nearly(values, terms), tolerance);
  }
}
