import { AFM, Desc, maskRowBytes } from "../abi";
import { attentionBackward, attentionForward, softmax, softmaxBackward } from "../kernels/attention";
import { matmulTransposedA } from "../kernels/dense";
import { dropout, dropoutMasks, KEEP_ALL, STREAM_PRODUCTS, STREAM_WEIGHTS } from "../kernels/dropout";
import { PAIR_BYTES } from "../kernels/field";
import { linearForward } from "../kernels/linear";
import {
  MASKED_LANES, maskedGradients, maskedRowGradients, maskedRowScores, maskedScores,
} from "../kernels/masked";
import { gatherSlots, knownPairs, pairProducts, productsBackward, productsForward } from "../kernels/products";
import { samplePairs } from "../kernels/sampling";
import { gatherAt, linearFrom } from "../kernels/table";
import { key, keepScale } from "../random";
import { hsum, madd, zero } from "../simd";

/*
 * What AFM, IFM, INN and DeepIFM share: the pairs of a row, their products e_p, the attention over them, and the way back.
 * A row is worked on in cache; nothing of size P·K is kept per row of the batch.
 */

/** Forward: as many pairs at a time as have this many floats (at least 8), so that their products are still in the first cache. */
export const FORWARD_FLOATS: u32 = 2048;

/** Backward: lanes at a time, so that what all pairs have of them stays in the first cache. */
const BACKWARD_LANES: u32 = MASKED_LANES;

/** Byte position of the row's first slot in features and values. */
@inline
export function rowBegin(d: Desc, b: u32): usize {
  const r = <usize>load<u32>(d.order + (<usize>(d.first + b) << 2)) << 2;
  return <usize>load<u32>(d.rowPtr + r) << 2;
}

/** The pairs of this batch; W transposed, for backward. After F_p is known. */
export function attendedBegin(d: Desc): void {
  samplePairs(d);
  const rowBytes = <usize>d.Kp << 2;
  for (let k: u32 = 0; k < d.K; k++) {
    let from = d.attnW + <usize>k * (<usize>d.Ap << 2), to = d.attnWT + (<usize>k << 2);
    for (let a: u32 = 0; a < d.Ap; a++, from += 4, to += rowBytes) store<f32>(to, load<f32>(from));
  }
}

/** Only modules that predict know tables of other formats than f32. */
@inline
function gatherRow(d: Desc, slots: usize, features: usize, values: usize): u32 {
  if (isDefined(SMALL_TABLES)) {
    if (d.tableFormat) {
      memory.fill(slots + (<usize>d.Kp << 2) * d.M, 0, <usize>d.Kp << 2);
      return gatherAt(slots, d, 0, features, values, d.M);
    }
  }
  return gatherSlots(slots, d, features, values);
}

/** Gathers the slots of row b and lists its pairs. Returns the linear part; the list is kept in the scratch. */
export function attendedSlots(d: Desc, b: u32, scratch: usize): f32 {
  const begin = rowBegin(d, b);
  const features = d.features + begin, values = d.values ? d.values + begin : 0;
  let pairs = d.active, P = d.activeCount;
  if (gatherRow(d, scratch + d.sSlots, features, values) < d.M) {
    pairs = scratch + d.sPairs;
    P = knownPairs(pairs, d, features);
  }
  store<usize>(scratch + d.sState, pairs);
  store<u32>(scratch + d.sState, P, 4);
  if (isDefined(SMALL_TABLES)) {
    if (d.tableFormat) return linearFrom(load<f32>(d.bias), d, features, values, d.M);
  }
  return linearForward(d, features, values, d.M);
}

@inline
export function pairsOf(d: Desc, scratch: usize): usize {
  return load<usize>(scratch + d.sState);
}

@inline
export function pairCount(d: Desc, scratch: usize): u32 {
  return load<u32>(scratch + d.sState, 4);
}

/** Makes the dropout mask of the row's pair products, or AFM's of their sum. Returns its address, or 0 without dropout. */
export function productMask(d: Desc, b: u32, scratch: usize, training: bool): usize {
  if (!training || d.keepProducts == KEEP_ALL) return 0;
  const mask = scratch + d.sMask;
  const count = d.model == AFM ? 1 : pairCount(d, scratch);
  dropoutMasks(mask, key(d.seed, STREAM_PRODUCTS, d.step, b), count, <u32>maskRowBytes(d) >> 4, d.keepProducts);
  return mask;
}

/**
 * e_p, c_p = <e_p, m_p ⊙ F_p> and the attention weights of a row that has pairs.
 *
 * @param fields f32[fieldRows + 1, Kp] F_p
 * @param mask   of productMask
 * @returns address of T_p after dropout, f32[Pp]
 */
export function attendedForward(d: Desc, b: u32, scratch: usize, fields: usize, mask: usize, training: bool): usize {
  const P = pairCount(d, scratch);
  pairsForward(
    d, scratch, scratch + d.sSlots, fields, mask, 0, pairsOf(d, scratch), (P + 3) & ~3, scratch + d.sScores, scratch + d.sHidden,
    false,
  );
  return attendedWeights(d, b, scratch, training);
}

/**
 * Of some pairs: e_p, a few at a time; c_p and (e_p W)ᵀ of all.
 *
 * @param mask   0, or of the row's pairs
 * @param first  of a block's pairs with dropout: sFirst, and their scores go to sScores of the rows. Or 0
 * @param scores out f32[Pp]
 * @param hidden out f32[Ap, Pp], or f32[Pp, Ap] where byPair is set
 */
export function pairsForward(
  d: Desc, scratch: usize, slots: usize, fields: usize, mask: usize, first: usize, pairs: usize, Pp: u32, scores: usize,
  hidden: usize, byPair: bool,
): void {
  const products = scratch + d.sProducts, terms = mask | first ? scratch + d.sMasked : 0;
  const aBytes = <usize>d.Ap << 2, pBytes = <usize>Pp << 2;
  const rowBytes: usize = d.model == AFM ? 0 : maskRowBytes(d);
  const group = max<u32>(8, FORWARD_FLOATS / d.Kp & ~7);
  for (let p: u32 = 0; p < Pp; p += group) {
    const count = min(group, Pp - p), at = <usize>p << 2, bytes = <usize>count << 2;
    productsForward(products, scores + at, d, fields, slots, terms, pairs + <usize>p * PAIR_BYTES, count);
    if (first) maskedScores(d, scratch, first + at, count, terms);
    else if (mask) maskedRowScores(scores + at, d, terms, mask + <usize>p * rowBytes, count);
    if (byPair) {
      matmulTransposedA(hidden + at * d.Ap, products, d.attnW, d.Kp, count, d.Ap, aBytes, bytes, aBytes, false);
    } else {
      matmulTransposedA(hidden + at, d.attnW, products, d.Kp, d.Ap, count, pBytes, aBytes, bytes, false);
    }
  }
}

/** Attention weights of a row from (e_p W)ᵀ in d.sHidden. Returns the address of T_p after dropout, f32[Pp]. */
export function attendedWeights(d: Desc, b: u32, scratch: usize, training: bool): usize {
  const P = pairCount(d, scratch);
  const weights = scratch + d.sWeights;
  attentionForward(weights, scratch + d.sHidden, d, P);
  softmax(weights, P);
  if (!training || d.keepWeights == KEEP_ALL) return weights;
  const dropped = scratch + d.sDropped;
  dropout(dropped, weights, (P + 3) & ~3, key(d.seed, STREAM_WEIGHTS, d.step, b), d.keepWeights);
  return dropped;
}

/** Σ_p T_p c_p. */
export function attendedSum(d: Desc, scratch: usize, T: usize): f32 {
  const scores = scratch + d.sScores;
  let sum = zero();
  for (let p: usize = 0, end = <usize>((pairCount(d, scratch) + 3) & ~3) << 2; p < end; p += 16) {
    sum = madd(v128.load(T + p), v128.load(scores + p), sum);
  }
  return hsum(sum);
}

/** Where the dense gradients of the attention and of F lie in a chunk; the bias comes first. */
@inline
export function chunkFields(d: Desc, chunk: usize): usize {
  return chunk + 16 + (<usize>d.Ap << 2) * (d.Kp + 2);
}

/**
 * From the gradient of T̃_p c_p back to slots, W, b, h and F. With dx = 0, c_p enters the score as Σ_p T̃_p c_p, so that
 * dT̃_p = dy c_p; with dx (INN), d.sScores already holds dT̃_p and dy is 1.
 *
 * @param dF   in/out f32[fieldRows + 1, Kp]         accumulated (+=)
 * @param mask as in forward
 * @param dx   gradient of the network's input (INN), or 0
 */
export function attendedBackward(
  d: Desc, b: u32, scratch: usize, fields: usize, dF: usize, mask: usize, dy: f32, chunk: usize, dx: usize,
): void {
  const hiddenT = scratch + d.sHiddenT;
  attendedGradients(d, b, scratch, dy, mask ? dy * keepScale(d.keepProducts) : dy, chunk, hiddenT);
  pairsBackward(
    d, scratch, scratch + d.sSlots, scratch + d.sSlotGrad, fields, dF, scratch + d.sHidden, hiddenT, scratch + d.sDropped, mask, 0,
    pairsOf(d, scratch), pairCount(d, scratch), chunk, dx,
  );
}

/**
 * The part that is the row's alone: back to (e_p W)ᵀ, in d.sHidden, and to c_p, in d.sDropped, and to b and h.
 *
 * @param dyScaled dy times the scale of the products' dropout
 * @param hiddenT  out f32[Pp, Ap] the transpose of d.sHidden
 */
export function attendedGradients(
  d: Desc, b: u32, scratch: usize, dy: f32, dyScaled: f32, chunk: usize, hiddenT: usize,
): void {
  const P = pairCount(d, scratch), Pp = (P + 3) & ~3, pBytes = <usize>Pp << 2;
  const weights = scratch + d.sWeights, dropped = scratch + d.sDropped, scores = scratch + d.sScores;
  const db = chunk + 16 + (<usize>d.Ap << 2) * d.Kp, dh = db + (<usize>d.Ap << 2);
  const drop = d.keepWeights < KEEP_ALL;
  const g = f32x4.splat(dy), toDc = f32x4.splat(dyScaled);
  const T = drop ? dropped : weights;
  for (let p: usize = 0; p < pBytes; p += 16) {
    v128.store(scores + p, f32x4.mul(g, v128.load(scores + p)));
    v128.store(dropped + p, f32x4.mul(toDc, v128.load(T + p)));
  }
  if (drop) dropout(scores, scores, Pp, key(d.seed, STREAM_WEIGHTS, d.step, b), d.keepWeights);
  softmaxBackward(scores, weights, P);
  attentionBackward(db, dh, scratch + d.sHidden, hiddenT, scores, d, P);
}

/**
 * The part that is of pairs, whatever their rows: from (e_p W)ᵀ and c_p back to slots, W and F.
 *
 * Block by block of lanes: e_p made again, dWᵀ from it, then de_p in its place, then what becomes of de_p.
 *
 * @param hidden   in f32[Ap, Pp]   gradient of (e_p W)ᵀ
 * @param hiddenT  in f32[Pp, Ap]   its transpose
 * @param dc       in f32[Pp]       of pairs of a row, and where there are no masks
 * @param mask     0, or of a row's pairs
 * @param first    of a block's pairs with dropout: u32[P + 1] in sFirst. Or 0
 */
export function pairsBackward(
  d: Desc, scratch: usize, slots: usize, slotGrad: usize, fields: usize, dF: usize, hidden: usize, hiddenT: usize, dc: usize,
  mask: usize, first: usize, pairs: usize, P: u32, chunk: usize, dx: usize,
): void {
  const products = scratch + d.sProducts, masked = scratch + d.sMasked;
  const byLane = (mask | first) != 0 && !dx;
  const Pp = (P + 3) & ~3, pBytes = <usize>Pp << 2;
  const laneBytes = <usize>d.Kp << 2, aBytes = <usize>d.Ap << 2;
  const dWT = chunk + 16;
  const eBytes = min<usize>(laneBytes, BACKWARD_LANES << 2);
  for (let k: usize = 0; k < laneBytes; k += BACKWARD_LANES << 2) {
    const lanes = min(BACKWARD_LANES, d.Kp - <u32>(k >> 2));
    pairProducts(products, slots + k, pairs, P, lanes, eBytes);
    matmulTransposedA(dWT + k, hiddenT, products, P, d.Ap, lanes, laneBytes, aBytes, eBytes, true);
    matmulTransposedA(products, hidden, d.attnWT + k, d.Ap, Pp, lanes, eBytes, pBytes, laneBytes, false);
    if (byLane) {
      if (first) maskedGradients(masked, d, scratch, first, P, <u32>(k >> 2));
      else maskedRowGradients(masked, d, dc, mask + (k >> 2), P, lanes);
    }
    const c = byLane ? masked : dc, x = dx ? dx + k : 0;
    productsBackward(slotGrad + k, dF + k, fields + k, slots + k, products, c, byLane, pairs, P, lanes, eBytes, x);
  }
}

/**
 * Gradient of the slots of row b to that of its records: dv = x · (gradient of v x), and [dw = dy x, 1, 0 0] behind it.
 *
 * @param slotGrad f32[slots, Kp]
 * @param rowSlots u32[M] byte offset of each slot's gradient, + 1; without it the gradient is another row's: 0 stands in
 *                 place of 1, and nothing in place of dv. Or 0: slots are in order, and all the row's own
 */
export function attendedRecords(d: Desc, b: u32, slotGrad: usize, dy: f32, rowSlots: usize): void {
  const begin = rowBegin(d, b);
  const laneBytes = <usize>d.Kp << 2, recordBytes = <usize>d.rowFloats << 2;
  let out = d.slotGrad + <usize>b * d.M * recordBytes;
  for (let i: usize = 0, end = <usize>d.M << 2; i < end; i += 4, out += recordBytes) {
    const x: f32 = d.values ? load<f32>(d.values + begin + i) : 1;
    const xs = f32x4.splat(x);
    const slot = rowSlots ? <usize>load<u32>(rowSlots + i) : i * d.Kp | 1;
    const from = slotGrad + slot - 1, own = <u32>slot & 1;
    if (own) for (let k: usize = 0; k < laneBytes; k += 16) v128.store(out + k, f32x4.mul(xs, v128.load(from + k)));
    v128.store(out + laneBytes, i32x4.replace_lane(f32x4.replace_lane(zero(), 0, dy * x), 1, own));
  }
}

/** Gradient of one record, summed over its occurrences in row order. */
export function attendedRecordGradient(g: usize, d: Desc, from: u32, to: u32): void {
  const laneBytes = <usize>d.Kp << 2;
  const end = d.occIndex + (<usize>to << 2);
  memory.fill(g, 0, laneBytes);
  let dw: f32 = 0;
  for (let i = d.occIndex + (<usize>from << 2); i < end; i += 4) {
    const record = d.slotGrad + <usize>load<u32>(i) * (<usize>d.rowFloats << 2), behind = record + laneBytes;
    dw += load<f32>(behind);
    if (!load<u32>(behind, 4)) continue;
    for (let k: usize = 0; k < laneBytes; k += 16) v128.store(g + k, f32x4.add(v128.load(g + k), v128.load(record + k)));
  }
  v128.store(g + laneBytes, f32x4.replace_lane(zero(), 0, dw));
}

/** From the reduced sums of the chunks to the gradients of W, b and h. */
export function attendedEnd(d: Desc, chunk: usize): void {
  const toGrad = d.grad - d.dense;
  const laneBytes = <usize>d.Kp << 2, aBytes = <usize>d.Ap << 2;
  const dWT = chunk + 16, db = dWT + aBytes * d.Kp, dh = db + aBytes;
  for (let k: u32 = 0; k < d.K; k++) {
    let from = dWT + (<usize>k << 2), to = d.attnW + toGrad + <usize>k * aBytes;
    for (let a: u32 = 0; a < d.A; a++, from += laneBytes, to += 4) store<f32>(to, load<f32>(from));
  }
  // Lanes A … Ap - 1 are left at 0: act(0) need not be 0 there (sigmoid), and padding must not be trained.
  memory.copy(d.attnB + toGrad, db, <usize>d.A << 2);
  memory.copy(d.attnH + toGrad, dh, <usize>d.A << 2);
}
