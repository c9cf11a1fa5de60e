/** The struct that the kernels read: assembly/abi.ts, field by field. Every field has 4 bytes. */
export const FIELDS = [
  ["model", "u32"],
  ["n", "u32"],
  ["M", "u32"],
  ["K", "u32"],
  ["Kp", "u32"],
  ["A", "u32"],
  ["Ap", "u32"],
  ["KF", "u32"],
  ["P", "u32"],
  ["fieldRows", "u32"],
  ["activation", "u32"],
  ["preScale", "f32"],
  ["logitScale", "f32"],
  ["rowFloats", "u32"],
  ["table", "u32"],
  ["dense", "u32"],
  ["bias", "u32"],
  ["attnW", "u32"],
  ["attnB", "u32"],
  ["attnH", "u32"],
  ["fieldU", "u32"],
  ["KFp", "u32"],
  ["fieldD", "u32"],
  ["prediction", "u32"],
  ["gamma", "u32"],
  ["beta", "u32"],
  ["movingMean", "u32"],
  ["movingVariance", "u32"],
  ["layers", "u32"],
  ["layerCount", "u32"],
  ["derived", "u32"],
  ["attnWT", "u32"],
  ["fieldPairs", "u32"],
  ["fieldOfSlot", "u32"],
  ["pairs", "u32"],
  ["active", "u32"],
  ["activeCount", "u32"],
  ["sampled", "u32"],
  ["sampleCount", "u32"],
  ["sampleNoise", "u32"],
  ["sampleKeys", "u32"],
  ["labels", "u32"],
  ["rowPtr", "u32"],
  ["features", "u32"],
  ["values", "u32"],
  ["order", "u32"],
  ["first", "u32"],
  ["count", "u32"],
  ["step", "u32"],
  ["seed", "u32"],
  ["loss", "u32"],
  ["dyScale", "f32"],
  ["keepWeights", "u32"],
  ["keepProducts", "u32"],
  ["yHat", "u32"],
  ["rowSum", "u32"],
  ["rowDy", "u32"],
  ["rowDz", "u32"],
  ["rowZ", "u32"],
  ["batchNorm", "u32"],
  ["slotGrad", "u32"],
  ["chunkRows", "u32"],
  ["chunkLoss", "u32"],
  ["chunkGrad", "u32"],
  ["chunkFloats", "u32"],
  ["slotOf", "u32"],
  ["touched", "u32"],
  ["occStart", "u32"],
  ["occIndex", "u32"],
  ["occValue", "u32"],
  ["touchedCount", "u32"],
  ["featureGrad", "u32"],
  ["squares", "u32"],
  ["optimizer", "u32"],
  ["lr", "f32"],
  ["momentum", "f32"],
  ["beta1", "f32"],
  ["beta2", "f32"],
  ["epsilon", "f32"],
  ["correction1", "f32"],
  ["correction2", "f32"],
  ["ftrlBeta", "f32"],
  ["ftrlL1", "f32"],
  ["ftrlL2", "f32"],
  ["exactRows", "u32"],
  ["clipNorm", "f32"],
  ["l2Embedding", "f32"],
  ["l2Linear", "f32"],
  ["freezeEmbedding", "u32"],
  ["freezeLinear", "u32"],
  ["grad", "u32"],
  ["state", "u32"],
  ["state2", "u32"],
  ["segments", "u32"],
  ["segmentCount", "u32"],
  ["updateScale", "f32"],
  ["phase", "u32"],
  ["jobs", "u32"],
  ["nextJob", "u32"],
  ["blockRows", "u32"],
  ["scratchRow", "u32"],
  ["sGradients", "u32"],
  ["sRowGrad", "u32"],
  ["sState", "u32"],
  ["sSlots", "u32"],
  ["sSlotGrad", "u32"],
  ["sProducts", "u32"],
  ["sHidden", "u32"],
  ["sWeights", "u32"],
  ["sDropped", "u32"],
  ["sScores", "u32"],
  ["sMask", "u32"],
  ["sPairs", "u32"],
  ["sInput", "u32"],
  ["sInputGrad", "u32"],
  ["sHiddenT", "u32"],
  ["sharedRows", "u32"],
  ["sharedRow", "u32"],
  ["sShared", "u32"],
  ["sRowSlots", "u32"],
  ["sRowPairs", "u32"],
  ["sCounts", "u32"],
  ["tableShift", "u32"],
  ["sTables", "u32"],
  ["sDistinct", "u32"],
  ["sBlockSlots", "u32"],
  ["sBlockGrad", "u32"],
  ["sBlockPairs", "u32"],
  ["sPairHidden", "u32"],
  ["sPairScores", "u32"],
  ["sMasked", "u32"],
  ["sFirst", "u32"],
  ["sOccurrences", "u32"],
  ["sMasks", "u32"],
  ["tableFormat", "u32"],
  ["recordBytes", "u32"],
  ["zeros", "u32"],
  ["diverged", "u32"],
] as const satisfies readonly (readonly [string, "u32" | "f32"])[];

export const ABI_VERSION = 6;

type Field = (typeof FIELDS)[number][0];

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

const INDEX = new Map(FIELDS.map(([name, type], index) => [name, { index, type }]));

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
      const { index, type } = INDEX.get(name)!;
      if (type === "f32") view.setFloat32(4 * index, value, true);
      else view.setUint32(4 * index, value, true);
    }
  }

  get(name: Field): number {
    const view = new DataView(this.#memory.buffer, this.address, DESC_BYTES);
    const { index, type } = INDEX.get(name)!;
    return type === "f32" ? view.getFloat32(4 * index, true) : view.getUint32(4 * index, true);
  }
}
