import { Desc } from "../abi";
import { KEEP_ALL } from "../kernels/dropout";
import { fieldBackward, fieldForward } from "../kernels/field";
import {
  attendedBackward, attendedBegin, attendedEnd, attendedForward, attendedRecords, attendedSlots, attendedSum, chunkFields,
  pairCount, productMask,
} from "./attended";

/** What the rows of a batch share. INN and DeepIFM begin likewise. */
export function ifmBegin(d: Desc): void {
  fieldForward(d);
  attendedBegin(d);
}

/**
 * IFM (Hong, Huang, Chen, AAAI 2019): y = linear + Σ_p T_p <e_p, F_p>, T = softmax of the attention logits.
 * Dropout, in training only, acts on T and on T_p e_p (equally: on F_p).
 *
 * AFM (Xiao et al., IJCAI 2017): y = linear + q · Σ_p T_p e_p. That is IFM with F_p = q, and one mask for all pairs.
 *
 * @param b       row of the batch
 * @param scratch keeps what backward needs
 */
export function ifmForward(d: Desc, b: u32, scratch: usize, training: bool): f32 {
  const linear = attendedSlots(d, b, scratch);
  if (!pairCount(d, scratch)) return linear;
  const mask = productMask(d, b, scratch, training);
  const T = attendedForward(d, b, scratch, d.fieldPairs, mask, training);
  return linear + attendedSum(d, scratch, T);
}

/**
 * Gradients of one row: of its records into d.slotGrad, of the dense parameters into the chunk's sums.
 *
 * @param chunk in/out f32[chunkFloats], accumulated (+=)
 */
export function ifmBackward(d: Desc, b: u32, scratch: usize, dy: f32, chunk: usize): void {
  memory.fill(scratch + d.sSlotGrad, 0, (<usize>d.Kp << 2) * (d.M + 1));
  ifmBackwardPairs(d, b, scratch, dy, chunk);
  attendedRecords(d, b, scratch + d.sSlotGrad, dy, 0);
}

/** The additive part of backward, which DeepIFM has, too; slot gradients are accumulated. */
export function ifmBackwardPairs(d: Desc, b: u32, scratch: usize, dy: f32, chunk: usize): void {
  store<f32>(chunk, load<f32>(chunk) + dy);
  if (!pairCount(d, scratch)) return;
  const mask = keptMask(d, scratch);
  attendedBackward(d, b, scratch, d.fieldPairs, chunkFields(d, chunk), mask, dy, chunk, 0);
}

/** The mask that forward has made. */
@inline
export function keptMask(d: Desc, scratch: usize): usize {
  return d.keepProducts < KEEP_ALL ? scratch + d.sMask : 0;
}

/** From the reduced sums of the chunks to the gradients of the dense parameters. */
export function ifmEnd(d: Desc, chunk: usize): void {
  const toGrad = d.grad - d.dense;
  attendedEnd(d, chunk);
  fieldBackward(d.fieldU + toGrad, d.fieldD + toGrad, chunkFields(d, chunk), d);
}
