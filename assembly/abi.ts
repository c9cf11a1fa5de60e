/**
 * What TypeScript and the kernels share: one struct in linear memory, every field 4 bytes.
 *
 * Written by src/wasm/abi.ts, whose list of fields must be this one, in this order (test/wasm/abi.test.ts compares them).
 * Append fields; raise ABI_VERSION when the meaning of one changes.
 *
 * Sizes carry the capital letters of docs/NOTATION.md; `p` at the end marks a size rounded up to 4 lanes.
 * Pointers are bytes, 16-aligned unless a comment says otherwise.
 */
export const ABI_VERSION: u32 = 6;

export const FM: u32 = 0;
export const AFM: u32 = 1;
export const IFM: u32 = 2;
export const INN: u32 = 3;
export const DEEPIFM: u32 = 4;

export const SQUARED: u32 = 0;
export const LOGISTIC: u32 = 1;
export const BPR: u32 = 2;

export const RELU: u32 = 0;
export const TANH: u32 = 1;
export const SIGMOID: u32 = 2;
export const IDENTITY: u32 = 3;

export const SGD: u32 = 0;
export const MOMENTUM: u32 = 1;
export const ADAGRAD: u32 = 2;
export const ADAM: u32 = 3;
export const FTRL: u32 = 4;

export const F32: u32 = 0;
export const F16: u32 = 1;
export const I8: u32 = 2;

@unmanaged
export class Desc {
  // Model
  model: u32; //           FM, IFM
  n: u32; //               features; record n of the table is all zero and stands for every unknown feature
  M: u32; //               slots of a row (IFM); longest row (FM)
  K: u32; //               factors
  Kp: u32;
  A: u32; //               attention factors
  Ap: u32;
  KF: u32; //              field factors
  P: u32; //               pairs of the list below
  fieldRows: u32; //       rows of fieldPairs: M(M - 1)/2, or 1 for AFM, whose pairs share q
  activation: u32; //      of the attention's projection
  preScale: f32; //        1/τ when the temperature is on the projection, else 1
  logitScale: f32; //      1/τ when the temperature is on the logits, else 1
  rowFloats: u32; //       Kp + 4: floats of a table record [ v: Kp lanes | w 0 0 0 ]

  // Parameters
  table: usize; //         f32[n + 1, rowFloats]
  dense: usize; //         the dense parameters, one block
  bias: usize; //          f32[1] w0
  attnW: usize; //         f32[K, Ap]
  attnB: usize; //         f32[Ap]
  attnH: usize; //         f32[Ap]
  fieldU: usize; //        f32[F, KFp] interaction
  KFp: u32;
  fieldD: usize; //        f32[KF, Kp] factor
  prediction: usize; //    f32[Kp] q of AFM
  gamma: usize; //         f32[Kp] batch norm of FM, or 0
  beta: usize;
  movingMean: usize;
  movingVariance: usize;
  layers: usize; //        {rows, columns, kernel, bias, transpose, chunk offset, hidden, gradient}[layerCount], see dense.ts
  layerCount: u32;

  // Derived from the parameters at the start of a batch
  derived: u32; //         1: these belong to the parameters as they are; set by predictBegin
  attnWT: usize; //        f32[Ap, Kp] transpose of attnW
  fieldPairs: usize; //    f32[fieldRows + 1, Kp] F_p; the last row is zero and belongs to the padding pairs
  fieldOfSlot: usize; //   u32[M]
  pairs: usize; //         {s, t, p}[Pp] byte offsets into the slot buffer and into fieldPairs; padded to 4 with {M, M, fieldRows}
  active: usize; //        the pairs of this batch: `pairs`, or sampled ones at `sampled`
  activeCount: u32;
  sampled: usize; //       {s, t, p}[Pp], or 0
  sampleCount: u32; //     pairs to draw; 0 = all
  sampleNoise: u32; //     1: draw at random; 0: the largest ‖F_p‖
  sampleKeys: usize; //    f64[2, P] log‖F_p‖² + Gumbel noise, and room to select

  // Data set in CSR form
  labels: usize; //        f32[N]
  rowPtr: usize; //        u32[N + 1]
  features: usize; //      u32[nnz], each <= n
  values: usize; //        f32[nnz], or 0 when every value is 1
  order: usize; //         u32[N] the order of the rows in this pass

  // Batch: rows order[first] … order[first + count - 1]
  first: u32;
  count: u32;
  step: u32; //            counts batches; a word of the dropout keys
  seed: u32;
  loss: u32;
  dyScale: f32; //         1 for a sum, 1/count for a mean
  keepWeights: u32; //     threshold of keep[0] in 1 … 65536
  keepProducts: u32; //    threshold of keep[1]
  yHat: usize; //          f32[batch rows] scores
  rowSum: usize; //        FM: f32[batch rows, rowFloats] [ Σ v x | Σ w x 0 0 0 ], then dz ⊙ Σ v x; with dropout -0 where dropped
  rowDy: usize; //         FM: f32[batch rows] dLoss/dŷ
  rowDz: usize; //         FM with batch norm: f32[batch rows, rowFloats] dLoss/dz
  rowZ: usize; //          FM with batch norm: f32[batch rows, rowFloats] z
  batchNorm: usize; //     f32[4, Kp] mean, 1/√(σ² + ε), dγ, dβ
  slotGrad: usize; //      IFM: f32[batch rows · M, rowFloats] gradient of each occurrence's record

  // Chunks: fixed pieces of a batch, whatever the number of threads
  chunkRows: u32;
  chunkLoss: usize; //     f64[chunks]
  chunkGrad: usize; //     f32[chunks, chunkFloats]: [ dBias 0 0 0 | dWT Ap·Kp | db Ap | dh Ap | dF (fieldRows + 1)·Kp | layers ]
  chunkFloats: u32;

  // Occurrences of the batch, sorted by feature
  slotOf: usize; //        u32[n + 1] one behind the feature's last occurrence, 0 if it has none; kept between batches
  touched: usize; //       u32[most + 1] features of this batch in order of first touch; kept between batches
  occStart: usize; //      u32[most + 1] first occurrence of each touched feature
  occIndex: usize; //      u32[occurrences] row of rowSum (FM) or of slotGrad (IFM)
  occValue: usize; //      f32[occurrences] value x (FM, unless every value is 1)
  touchedCount: u32; //    written by sortOccurrences
  featureGrad: usize; //   f32[most + 1, rowFloats] sums by feature, see scatter.ts; 0: occurrences are sorted
  squares: usize; //       f64[most] squared gradient norm of each touched feature (clipping)

  // Optimizer
  optimizer: u32;
  lr: f32;
  momentum: f32;
  beta1: f32;
  beta2: f32;
  epsilon: f32;
  correction1: f32; //     1/(1 - β₁^t)
  correction2: f32; //     1/(1 - β₂^t)
  ftrlBeta: f32;
  ftrlL1: f32;
  ftrlL2: f32;
  exactRows: u32; //       Adam: 1 moves the rows that the batch does not touch, too
  clipNorm: f32; //        0 = off
  l2Embedding: f32;
  l2Linear: f32;
  freezeEmbedding: u32;
  freezeLinear: u32;
  grad: usize; //          dense gradients, laid out as `dense`
  state: usize; //         distance in bytes from a parameter to its first state (G; m; z)
  state2: usize; //        and to its second (v; n)
  segments: usize; //      {offset, floats, l2 (f32), frozen}[segmentCount] over the dense block
  segmentCount: u32;
  updateScale: f32; //     factor of all gradients, from clipping

  // The phase of a batch, see step.ts
  phase: u32;
  jobs: u32;
  nextJob: u32; //         the first that nobody has taken

  // Scratch: `blockRows` rows of `scratchRow` bytes each, then what the block shares
  blockRows: u32; //       rows that go forward, then backward, together; a multiple of 4 for networks
  scratchRow: u32;
  sGradients: u32; //      f32[blockRows] dLoss/dŷ
  sRowGrad: u32; //        f32[rowFloats] gradient of one record while it is summed; FM: z of a row before

  sState: u32; //          {address of its list of pairs, number of pairs}
  sSlots: u32; //          f32[M + 1, Kp] v x; all of these are offsets in bytes from the scratch pointer
  sSlotGrad: u32; //       f32[M + 1, Kp]
  sProducts: u32; //       e_p of some pairs (forward) or some lanes (backward)
  sHidden: u32; //         f32[Ap, Pp] act(e_p W + b) transposed, then its gradient
  sWeights: u32; //        f32[Pp] T_p
  sDropped: u32; //        f32[Pp] T_p after dropout
  sScores: u32; //         f32[Pp] <e_p, F_p>
  sMask: u32; //           i8[Pp, Kp16] dropout masks of the pair products; AFM: i8[1, Kp16]
  sPairs: u32; //          {s, t, p}[Pp] pairs of a row with unknown features
  sInput: u32; //          input of the network: f32[fieldRows, Kp] (INN), or sSlots (DeepIFM)
  sInputGrad: u32; //      its gradient: f32[fieldRows + 1, Kp] (INN), or sSlotGrad (DeepIFM)
  sHiddenT: u32; //        f32[Pp, Ap] the gradient, transposed back

  // Rows of a block that share their slots and pairs (kernels/distinct.ts); pairs = 1 + sharedRows · P, padded to 4
  sharedRows: u32; //      of a block, or 0: they never do
  sharedRow: u32; //       distance of their scratch: sState, sHidden, sWeights, sDropped, sScores, sRowSlots, sRowPairs
  sShared: u32; //         the first row's
  sRowSlots: u32; //       u32[M] offset in sBlockSlots of each slot, + 1 where it is new; 0: unknown
  sRowPairs: u32; //       u32[Pp] number of each pair
  sCounts: u32; //         {slots, pairs, pairs or 0: the block does not share them}
  tableShift: u32; //      32 - log2 of the places of a hash table
  sTables: u32; //         u32[2, places] of slots and of pairs
  sDistinct: u32; //       {feature, value, place}[1 + sharedRows · M] slots
  sBlockSlots: u32; //     f32[1 + sharedRows · M, Kp] x_s v[j_s]
  sBlockGrad: u32; //      f32[1 + sharedRows · M, Kp] its gradient
  sBlockPairs: u32; //     {s, t, p}[pairs] as in sPairs
  sPairHidden: u32; //     f32[pairs, Ap] e_p W, then its gradient
  sPairScores: u32; //     f32[pairs] <e_p, F_p>, then its gradient

  // Dropout of products (kernels/masked.ts)
  sMasked: u32; //         forward: f32[pairs, Kp] e_p ⊙ F_p of some pairs; backward: f32[pairs, MASKED_LANES] C_p
  sFirst: u32; //          u32[pairs + 1] where in the list of occurrences each pair's begin
  sOccurrences: u32; //    {c_p, pair, mask, -, hash (16 bytes)}[sharedRows · P]
  sMasks: u32; //          u8[sharedRows · P, Kp / 128, 16] their masks as bits; AFM: i8[sharedRows, Kp16]

  // Prediction (table.ts)
  tableFormat: u32; //     F32, F16, I8
  recordBytes: u32; //     of a record of the table; 4 · rowFloats for F32
  zeros: usize; //         f32[2, Kp]: of tables that are not F32

  // Training
  diverged: u32; //        1 after a step with a weight or a squared gradient that is not finite; stays until it is cleared
}

/** Bytes of the dropout mask of one pair, or of AFM's of a row. */
@inline
export function maskRowBytes(d: Desc): usize {
  return <usize>(d.Kp + 15) & ~15;
}
