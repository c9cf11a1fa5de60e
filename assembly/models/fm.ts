import { Desc } from "../abi";
import { dropout, STREAM_PRODUCTS } from "../kernels/dropout";
import { linearForward } from "../kernels/linear";
import { pairwiseBackward, pairwiseForward } from "../kernels/pairwise";
import { key } from "../random";
import { hsum, zero } from "../simd";

/**
 * FM (Rendle 2010): y = linear + Σ_k z_k. Dropout, in training only, acts on z.
 *
 * @param b row of the batch
 * @returns ŷ; d.rowSum[b] keeps Σ v x
 */
export function fmForward(d: Desc, b: u32, training: bool): f32 {
  const r = d.rowPtr + (<usize>load<u32>(d.order + (<usize>(d.first + b) << 2)) << 2);
  const begin = <usize>load<u32>(r) << 2;
  const slots = load<u32>(r, 4) - load<u32>(r);
  const features = d.features + begin;
  const values = d.values ? d.values + begin : 0;
  const linear = linearForward(d, features, values, slots);

  const row = <usize>b * (<usize>d.rowFloats << 2);
  const S = d.rowSum + row;
  if (!training || !d.rowDz) return linear + pairwiseForward(S, 0, d, features, values, slots);

  const kept = d.rowDz + row;
  const laneBytes = <usize>d.Kp << 2;
  pairwiseForward(S, kept, d, features, values, slots);
  let sum = zero();
  const k0 = key(d.seed, STREAM_PRODUCTS, d.step, b);
  dropout(kept, kept, d.Kp, k0, d.keepProducts);
  for (let k: usize = 0; k < laneBytes; k += 16) sum = f32x4.add(sum, v128.load(kept + k));
  return linear + hsum(sum);
}

/** dLoss/dz = dy (times the dropout mask); leaves in d.rowSum[b] what pairwiseRecordGradient sums. */
export function fmBackward(d: Desc, b: u32, dy: f32, dBias: usize): void {
  const row = <usize>b * (<usize>d.rowFloats << 2);
  let dz: usize = 0;
  if (d.rowDz) {
    dz = d.rowDz + row;
    const g = f32x4.splat(dy);
    for (let k: usize = 0, end = <usize>d.Kp << 2; k < end; k += 16) v128.store(dz + k, g);
    dropout(dz, dz, d.Kp, key(d.seed, STREAM_PRODUCTS, d.step, b), d.keepProducts);
  }
  pairwiseBackward(d.rowSum + row, dz, dy, d.Kp);
  store<f32>(dBias, load<f32>(dBias) + dy);
}
