import { allPairs } from "./pairwise.js";
import { zeros } from "./tensors.js";
import type { Dropout, RefConfig, RefModel, RefRow, RefTensor } from "./types.js";

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The tensors of a model of this config by name, with their shapes (CONTRACT.md). */
export function tensorShapes(config: RefConfig, batchNorm = false): Record<string, number[]> {
  const { model, features: n, fields: F, factors: K, attentionFactors: A, fieldFactors: KF, hidden } = config;
  const shapes: Record<string, number[]> = { bias: [1], feature_bias: [n], feature_embeddings: [n, K] };
  if (model === "fm" && batchNorm) {
    for (const name of ["gamma", "beta", "moving_mean", "moving_variance"]) shapes[`batch_norm.${name}`] = [K];
  }
  if (model !== "fm") {
    shapes.attention_W = [K, A];
    shapes.attention_b = [A];
    shapes.attention_p = [A];
  }
  if (model === "afm") shapes.prediction = [K];
  if (model === "ifm" || model === "inn" || model === "deepifm") {
    shapes.interaction = [F, KF];
    shapes.factor = [KF, K];
  }
  if (model === "inn" || model === "deepifm") {
    const slots = config.fieldOfSlot.length;
    const inputs = model === "inn" ? allPairs(slots).length * K : slots * K;
    const widths = [inputs, ...hidden, 1];
    for (let layer = 0; layer + 1 < widths.length; layer++) {
      shapes[`mlp.${layer}.kernel`] = [widths[layer], widths[layer + 1]];
      shapes[`mlp.${layer}.bias`] = [widths[layer + 1]];
    }
  }
  return shapes;
}

/** A model whose weights are all distinct and of order 1, with variances above 0. */
export function randomModel(config: RefConfig, seed: number, batchNorm = false): RefModel {
  const random = generator(seed);
  const tensors: Record<string, RefTensor> = {};
  for (const [name, shape] of Object.entries(tensorShapes(config, batchNorm))) {
    const size = shape.reduce((product, extent) => product * extent, 1);
    const positive = name === "batch_norm.moving_variance";
    const data = Float64Array.from(zeros(size), () => (positive ? 0.5 + random() : 2 * random() - 1));
    tensors[name] = { shape, data };
  }
  return { config, tensors };
}

export interface RowSettings {
  /** All values 1; otherwise between 0.25 and 2, or their negatives. */
  ones?: boolean;
  /** Labels 0/1 instead of −1/+1. */
  binary?: boolean;
}

/** Rows with a random feature in every slot; a feature may occur several times in the batch, even in a row. */
export function randomRows(config: RefConfig, count: number, seed: number, settings: RowSettings = {}): RefRow[] {
  const random = generator(seed);
  return Array.from({ length: count }, () => {
    const positive = random() < 0.5;
    const slots = config.fieldOfSlot.map(() => {
      const feature = Math.floor(random() * config.features);
      const magnitude = 0.25 + 1.75 * random();
      const value = settings.ones ? 1 : random() < 0.25 ? -magnitude : magnitude;
      return { feature, value };
    });
    return { label: positive ? 1 : settings.binary ? 0 : -1, slots };
  });
}

/** A mask of `count` values, each kept with probability `keep`. */
export function randomDropout(count: number, keep: number, seed: number): Dropout {
  const random = generator(seed);
  return { mask: Array.from({ length: count }, () => (random() < keep ? 1 : 0)), keep };
}
