/** The struct that the kernels read: assembly/abi.ts, field by field. Every field has 4 bytes. */
export const FIELDS = [
  "model",
  "n",
  "M",
  "K",
  "Kp",
  "A",
  "Ap",
  "KF",
  "P",
  "fieldRows",
  "activation",
  "preScale",
  "logitScale",
  "rowFloats",
  "table",
  "dense",
  "bias",
  "attnW",
  "attnB",
  "attnH",
  "fieldU",
  "KFp",
  "fieldD",
  "prediction",
  "gamma",
  "beta",
  "movingMean",
  "movingVariance",
  "layers",
  "layerCount",
  "derived",
  "attnWT",
  "fieldPairs",
  "fieldOfSlot",
  "pairs",
  "active",
  "activeCount",
  "sampled",
  "sampleCount",
  "sampleNoise",
  "sampleKeys",
  "labels",
  "rowPtr",
  "features",
  "values",
  "order",
  "first",
  "count",
  "step",
  "seed",
  "loss",
  "dyScale",
  "keepWeights",
  "keepProducts",
  "yHat",
  "rowSum",
  "rowDy",
  "rowDz",
  "rowZ",
  "batchNorm",
  "slotGrad",
  "chunkRows",
  "chunkLoss",
  "chunkGrad",
  "chunkFloats",
  "slotOf",
  "touched",
  "occStart",
  "occIndex",
  "occValue",
  "touchedCount",
  "featureGrad",
  "squares",
  "optimizer",
  "lr",
  "momentum",
  "beta1",
  "beta2",
  "epsilon",
  "correction1",
  "correction2",
  "ftrlBeta",
  "ftrlL1",
  "ftrlL2",
  "exactRows",
  "clipNorm",
  "l2Embedding",
  "l2Linear",
  "freezeEmbedding",
  "freezeLinear",
  "grad",
  "state",
  "state2",
  "segments",
  "segmentCount",
  "updateScale",
  "phase",
  "jobs",
  "nextJob",
  "blockRows",
  "scratchRow",
  "sGradients",
  "sRowGrad",
  "sState",
  "sSlots",
  "sSlotGrad",
  "sProducts",
  "sHidden",
  "sWeights",
  "sDropped",
  "sScores",
  "sMask",
  "sPairs",
  "sInput",
  "sInputGrad",
  "sHiddenT",
  "sharedRows",
  "sharedRow",
  "sShared",
  "sRowSlots",
  "sRowPairs",
  "sCounts",
  "tableShift",
  "sTables",
  "sDistinct",
  "sBlockSlots",
  "sBlockGrad",
  "sBlockPairs",
  "sPairHidden",
  "sPairScores",
  "sMasked",
  "sFirst",
  "sOccurrences",
  "sMasks",
  "tableFormat",
  "recordBytes",
  "zeros",
  "diverged",
] as const;

type Field = (typeof FIELDS)[number];

/** The fields that are f32; the others are u32. */
export const FLOATS: ReadonlySet<Field> = new Set([
  "preScale",
  "logitScale",
  "dyScale",
  "lr",
  "momentum",
  "beta1",
  "beta2",
  "epsilon",
  "correction1",
  "correction2",
  "ftrlBeta",
  "ftrlL1",
  "ftrlL2",
  "clipNorm",
  "l2Embedding",
  "l2Linear",
  "updateScale",
]);

export const ABI_VERSION = 6;

/** Values of some fields. */
export type DescFields = Partial<Record<Field, number>>;

/** Values of the enumerations in assembly/abi.ts. */
export const MODEL = { fm: 0, afm: 1, ifm: 2, inn: 3, deepifm: 4 } as const;
export const LOSS = { squared: 0, logistic: 1, bpr: 2 } as const;
export const TABLE = { F32: 0, F16: 1, I8: 2 } as const;
export const ACTIVATION = { relu: 0, tanh: 1, sigmoid: 2, identity: 3 } as const;
export const OPTIMIZER = { sgd: 0, momentum: 1, adagrad: 2, adam: 3, ftrl: 4 } as const;

/** A batch keeps this much of its gradient: 65536 = everything, dropout off. */
export const KEEP_ALL = 65536;

export const DESC_BYTES = 4 * FIELDS.length;

const OFFSETS = new Map(FIELDS.map((name, index) => [name, 4 * index]));

/** Writes fields of the struct at `address` of a linear memory. */
export class Desc {
  readonly #memory: WebAssembly.Memory;
  readonly address: number;

  constructor(memory: WebAssembly.Memory, address: number) {
    this.#memory = memory;
    this.address = address;
  }

  set(values: DescFields): void {
    const view = new DataView(this.#memory.buffer, this.address, DESC_BYTES);
    for (const [name, value] of Object.entries(values) as [Field, number][]) {
      const at = OFFSETS.get(name)!;
      if (FLOATS.has(name)) view.setFloat32(at, value, true);
      else view.setUint32(at, value, true);
    }
  }

  get(name: Field): number {
    const view = new DataView(this.#memory.buffer, this.address, DESC_BYTES);
    const at = OFFSETS.get(name)!;
    return FLOATS.has(name) ? view.getFloat32(at, true) : view.getUint32(at, true);
  }
}
