import { Desc } from "../abi";
import { attentionBackward, attentionForward, softmax, softmaxBackward } from "../kernels/attention";
import { matmul, matmulTransposedA } from "../kernels/dense";
import { dropout, dropoutMask, KEEP_ALL, STREAM_PRODUCTS, STREAM_WEIGHTS } from "../kernels/dropout";
import { fieldBackward, fieldForward } from "../kernels/field";
import { linearForward } from "../kernels/linear";
import { gatherSlots, knownPairs, productsBackward, productsForward } from "../kernels/products";
import { key, keepScale } from "../random";
import { hsum, madd, zero } from "../simd";

/** What the rows of a batch share: F_p, and W transposed for backward. */
export function ifmBegin(d: Desc): void {
  fieldForward(d);
  const rowBytes = <usize>d.Kp << 2;
  for (let k: u32 = 0; k < d.K; k++) {
    let from = d.attnW + <usize>k * (<usize>d.Ap << 2), to = d.attnWT + (<usize>k << 2);
    for (let a: u32 = 0; a < d.Ap; a++, from += 4, to += rowBytes) store<f32>(to, load<f32>(from));
  }
}

/**
 * IFM (Hong, Huang, Chen, AAAI 2019): y = linear + Σ_p T_p <e_p, F_p>, T = softmax of the attention logits.
 *
 * Dropout, in training only, acts on T and on T_p e_p (equally: on F_p). A row is worked on in cache: nothing of size
 * P·K is kept per row of the batch.
 *
 * @param b       row of the batch
 * @param scratch keeps what backward needs
 */
export function ifmForward(d: Desc, b: u32, scratch: usize, training: bool): f32 {
  const r = d.rowPtr + (<usize>load<u32>(d.order + (<usize>(d.first + b) << 2)) << 2);
  const begin = <usize>load<u32>(r) << 2;
  const features = d.features + begin;
  const values = d.values ? d.values + begin : 0;
  const slots = scratch + d.sSlots, products = scratch + d.sProducts, hidden = scratch + d.sHidden;
  const weights = scratch + d.sWeights, dropped = scratch + d.sDropped, scores = scratch + d.sScores;

  let pairs = d.pairs, P = d.P;
  if (gatherSlots(slots, d, features, values) < d.M) {
    pairs = scratch + d.sPairs;
    P = knownPairs(pairs, d, features);
  }
  store<usize>(scratch + d.sState, pairs);
  store<u32>(scratch + d.sState, P, 4);
  const linear = linearForward(d, features, values, d.M);
  if (!P) return linear;

  const Pp = (P + 3) & ~3;
  let mask: usize = 0;
  if (training && d.keepProducts < KEEP_ALL) {
    mask = scratch + d.sMask;
    dropoutMask(mask, key(d.seed, STREAM_PRODUCTS, d.step, b), P * ((d.Kp + 7) >> 3), d.keepProducts);
  }
  productsForward(products, scores, d, slots, mask, pairs, Pp, keepScale(d.keepProducts));
  matmul(hidden, products, d.attnW, Pp, d.Kp, d.Ap, <usize>d.Ap << 2, <usize>d.productFloats << 2, <usize>d.Ap << 2);
  attentionForward(weights, hidden, d, P);
  softmax(weights, P);

  let T = weights;
  if (training && d.keepWeights < KEEP_ALL) {
    T = dropped;
    dropout(T, weights, Pp, key(d.seed, STREAM_WEIGHTS, d.step, b), d.keepWeights);
  }
  let sum = zero();
  for (let p: usize = 0, end = <usize>Pp << 2; p < end; p += 16) sum = madd(v128.load(T + p), v128.load(scores + p), sum);
  return linear + hsum(sum);
}

/**
 * Gradients of one row: of its records into d.slotGrad, of the dense parameters into the chunk's sums.
 *
 * @param chunk in/out f32[chunkFloats], accumulated (+=)
 */
export function ifmBackward(d: Desc, b: u32, scratch: usize, dy: f32, chunk: usize): void {
  const r = d.rowPtr + (<usize>load<u32>(d.order + (<usize>(d.first + b) << 2)) << 2);
  const begin = <usize>load<u32>(r) << 2;
  const laneBytes = <usize>d.Kp << 2, aBytes = <usize>d.Ap << 2;
  const slots = scratch + d.sSlots, slotGrad = scratch + d.sSlotGrad;
  const products = scratch + d.sProducts, hidden = scratch + d.sHidden;
  const weights = scratch + d.sWeights, dropped = scratch + d.sDropped, scores = scratch + d.sScores;
  const dWT = chunk + 16, db = dWT + aBytes * d.Kp, dh = db + aBytes, dF = dh + aBytes;
  const pairs = load<usize>(scratch + d.sState), P = load<u32>(scratch + d.sState, 4);
  const Pp = (P + 3) & ~3, pBytes = <usize>Pp << 2;

  store<f32>(chunk, load<f32>(chunk) + dy);
  memory.fill(slotGrad, 0, laneBytes * (d.M + 1));
  if (P) {
    // dc_p = dy T̃_p and dT̃_p = dy c_p; both pass through their dropout, whose masks are functions of the row.
    const g = f32x4.splat(dy);
    const dropT = d.keepWeights < KEEP_ALL, dropE = d.keepProducts < KEEP_ALL;
    const T = dropT ? dropped : weights;
    const toDc = f32x4.splat(dropE ? dy * keepScale(d.keepProducts) : dy);
    for (let p: usize = 0; p < pBytes; p += 16) {
      v128.store(scores + p, f32x4.mul(g, v128.load(scores + p)));
      v128.store(dropped + p, f32x4.mul(toDc, v128.load(T + p)));
    }
    if (dropT) dropout(scores, scores, Pp, key(d.seed, STREAM_WEIGHTS, d.step, b), d.keepWeights);
    softmaxBackward(scores, weights, P);
    attentionBackward(db, dh, hidden, scores, d, P);
    matmulTransposedA(dWT, hidden, products, P, d.Ap, d.Kp, laneBytes, aBytes, <usize>d.productFloats << 2);
    productsBackward(slotGrad, dF, d, slots, hidden, dropped, dropE ? scratch + d.sMask : 0, pairs, Pp);
  }

  // dv = x · (gradient of v x), and dw = dy x behind it.
  const recordBytes = <usize>d.rowFloats << 2;
  let out = d.slotGrad + <usize>b * d.M * recordBytes;
  let from = slotGrad;
  for (let i: usize = 0, end = <usize>d.M << 2; i < end; i += 4, from += laneBytes, out += recordBytes) {
    const x: f32 = d.values ? load<f32>(d.values + begin + i) : 1;
    const xs = f32x4.splat(x);
    for (let k: usize = 0; k < laneBytes; k += 16) v128.store(out + k, f32x4.mul(xs, v128.load(from + k)));
    v128.store(out + laneBytes, f32x4.replace_lane(zero(), 0, dy * x));
  }
}

/** Gradient of one record, summed over its occurrences in row order. */
export function ifmRecordGradient(g: usize, d: Desc, from: u32, to: u32): void {
  const rowBytes = <usize>d.rowFloats << 2;
  const end = d.occIndex + (<usize>to << 2);
  for (let k: usize = 0; k < rowBytes; k += 16) {
    let sum = zero();
    for (let i = d.occIndex + (<usize>from << 2); i < end; i += 4) {
      sum = f32x4.add(sum, v128.load(d.slotGrad + k + <usize>load<u32>(i) * rowBytes));
    }
    v128.store(g + k, sum);
  }
}

/** From the reduced sums of the chunks to the gradients of the dense parameters. */
export function ifmEnd(d: Desc, chunk: usize): void {
  const toGrad = d.grad - d.dense;
  const laneBytes = <usize>d.Kp << 2, aBytes = <usize>d.Ap << 2;
  const dWT = chunk + 16, db = dWT + aBytes * d.Kp, dh = db + aBytes, dF = dh + aBytes;
  for (let k: u32 = 0; k < d.K; k++) {
    let from = dWT + (<usize>k << 2), to = d.attnW + toGrad + <usize>k * aBytes;
    for (let a: u32 = 0; a < d.A; a++, from += laneBytes, to += 4) store<f32>(to, load<f32>(from));
  }
  // Lanes A … Ap - 1 are left at 0: act(0) need not be 0 there (sigmoid), and padding must not be trained.
  memory.copy(d.attnB + toGrad, db, <usize>d.A << 2);
  memory.copy(d.attnH + toGrad, dh, <usize>d.A << 2);
  fieldBackward(d.fieldU + toGrad, d.fieldD + toGrad, dF, d);
}
