import { Desc } from "../abi";
import { assertInOrder } from "../bounds";
import { batchNormForward } from "../kernels/batch-norm";
import { dropout, KEEP_ALL, STREAM_PRODUCTS } from "../kernels/dropout";
import { pairwiseNorms } from "../kernels/norms";
import { pairwiseBackward, pairwiseDropout, pairwiseForward, pairwiseFrom, pairwiseKeptBackward } from "../kernels/pairwise";
import { scatterRow } from "../kernels/scatter";
import { linearFrom } from "../kernels/table";
import { keepScale, key } from "../random";
import { hsum, zero } from "../simd";

/** Σ_k of row b of a buffer of records' width. */
@inline
export function laneSum(z: usize, Kp: u32): f32 {
  let sum = zero();
  for (const end = z + (<usize>Kp << 2); z < end; z += 16) sum = f32x4.add(sum, v128.load(z));
  return hsum(sum);
}

/** The same of a small table under batch norm. */
function fmFromSmall(d: Desc, z: usize, features: usize, values: usize, slots: u32): f32 {
  pairwiseFrom(0, z, d.zeros, d, features, values, slots);
  return load<f32>(d.bias) + linearFrom(0, d, features, values, slots);
}

/** Linear part of row b; Σ v x goes to d.rowSum[b] and, where `z` is not 0, the pair part to z. */
function linearAndPairs(d: Desc, b: u32, z: usize, sum: bool): f32 {
  const r = d.rowPtr + (<usize>load<u32>(d.order + (<usize>(d.first + b) << 2)) << 2);
  const begin = <usize>load<u32>(r) << 2;
  const slots = load<u32>(r, 4) - load<u32>(r);
  const features = d.features + begin;
  const values = d.values ? d.values + begin : 0;
  const S = d.rowSum + <usize>b * (<usize>d.rowFloats << 2);
  if (isDefined(SMALL_TABLES)) {
    if (d.tableFormat) return fmFromSmall(d, z, features, values, slots);
  }
  const pairs = pairwiseForward(S, z, d, features, values, slots);
  const linear = load<f32>(d.bias) + load<f32>(S + (<usize>d.Kp << 2));
  return sum ? linear + pairs : linear;
}

/**
 * FM (Rendle 2010): y = linear + Σ_k z_k. Batch normalisation, then (in training only) dropout act on z.
 *
 * @param b row of the batch
 * @param z f32[Kp], of this thread
 * @returns ŷ; d.rowSum[b] keeps Σ v x
 */
export function fmForward(d: Desc, b: u32, z: usize, training: bool): f32 {
  const row = <usize>b * (<usize>d.rowFloats << 2);
  const drop = training && d.keepProducts < KEEP_ALL;
  // Under batch norm fmNormBegin has put z and the linear part of training rows there.
  const begun = training && d.batchNorm != 0;
  const sum = !d.batchNorm && !drop;
  const linear = begun ? load<f32>(d.yHat + (<usize>b << 2)) : linearAndPairs(d, b, sum ? 0 : z, sum);
  if (sum) return linear;
  const mask = drop ? key(d.seed, STREAM_PRODUCTS, d.step, b) : 0, threshold = d.keepProducts;
  if (!d.batchNorm) return linear + keepScale(threshold) * pairwiseDropout(d.rowSum + row, z, mask, threshold, d.Kp);

  const out = begun ? d.rowDz + row : z;
  batchNormForward(out, begun ? d.rowZ + row : z, d);
  if (drop) dropout(out, out, d.Kp, mask, threshold);
  return linear + laneSum(out, d.Kp);
}

/** Row b's part of its features' gradients. */
function scatter(d: Desc, b: u32, S: usize, dy: f32): void {
  const r = d.rowPtr + (<usize>load<u32>(d.order + (<usize>(d.first + b) << 2)) << 2);
  const begin = <usize>load<u32>(r) << 2;
  const slots = load<u32>(r, 4) - load<u32>(r);
  scatterRow(d, S, dy, d.features + begin, d.values ? d.values + begin : 0, slots);
}

/** dLoss/dz = dy (times the dropout mask); leaves in d.rowSum[b] and d.rowDy what pairwiseRecordGradient sums. */
export function fmBackward(d: Desc, b: u32, dy: f32, dBias: usize): void {
  const row = <usize>b * (<usize>d.rowFloats << 2);
  const S = d.rowSum + row;
  store<f32>(dBias, load<f32>(dBias) + dy);
  store<f32>(d.rowDy + (<usize>b << 2), dy);
  if (!d.batchNorm) {
    if (d.keepProducts < KEEP_ALL) pairwiseKeptBackward(S, dy, d.Kp);
    else pairwiseBackward(S, 0, dy, d.Kp);
    if (d.featureGrad) scatter(d, b, S, dy);
    return;
  }
  const dz = d.rowDz + row;
  const g = f32x4.splat(dy);
  for (let k: usize = 0, end = <usize>d.Kp << 2; k < end; k += 16) v128.store(dz + k, g);
  if (d.keepProducts < KEEP_ALL) {
    dropout(dz, dz, d.Kp, key(d.seed, STREAM_PRODUCTS, d.step, b), d.keepProducts);
  }
  // Of z itself it depends on the whole batch: fmNormEnd goes on when that is known.
}

/** Before the rows of a batch under batch norm: z and the linear part of rows from … to - 1. */
export function fmNormBegin(d: Desc, from: u32, to: u32): void {
  for (let b = from; b < to; b++) {
    const linear = linearAndPairs(d, b, d.rowZ + <usize>b * (<usize>d.rowFloats << 2), false);
    store<f32>(d.yHat + (<usize>b << 2), linear);
  }
}

/** After them: d.rowDz now is the gradient of z itself. */
export function fmNormEnd(d: Desc, from: u32, to: u32): void {
  for (let b = from; b < to; b++) {
    const row = <usize>b * (<usize>d.rowFloats << 2);
    pairwiseBackward(d.rowSum + row, d.rowDz + row, 0, d.Kp);
  }
}

/**
 * Rows b … to - 1 of FM from a small table, without batch norm. They lie in the order in which they are scored. Many rows
 * in one call: at K = 8 a call takes as long as a third of a row.
 */
export function fmSmallForward(d: Desc, b: u32, to: u32): void {
  assertInOrder(d, b, to);
  const rowPtr = d.rowPtr + (<usize>(d.first + b) << 2);
  pairwiseNorms(d.yHat + (<usize>b << 2), load<f32>(d.bias), 0, d, rowPtr, d.features, d.values, to - b);
}
