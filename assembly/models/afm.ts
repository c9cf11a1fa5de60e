import { Desc } from "../abi";
import { dropout, KEEP_ALL, STREAM_PRODUCTS } from "../kernels/dropout";
import { key } from "../random";
import {
  attendedBackward, attendedBegin, attendedEnd, attendedForward, attendedRecords, attendedSlots, attendedSum, chunkFields,
  pairCount,
} from "./attended";

/** All pairs share F_p = q. */
export function afmBegin(d: Desc): void {
  const laneBytes = <usize>d.Kp << 2;
  memory.copy(d.fieldPairs, d.prediction, laneBytes);
  memory.fill(d.fieldPairs + laneBytes, 0, laneBytes);
  attendedBegin(d);
}

/**
 * AFM (Xiao et al., IJCAI 2017): y = linear + q · Σ_p a_p e_p, a = softmax of the attention logits over the pairs.
 * Dropout, in training only, acts on a and on the pooled vector Σ_p a_p e_p (equally: on q).
 */
export function afmForward(d: Desc, b: u32, scratch: usize, training: bool): f32 {
  const linear = attendedSlots(d, b, scratch);
  if (!pairCount(d, scratch)) return linear;
  let q = d.fieldPairs;
  if (training && d.keepProducts < KEEP_ALL) {
    q = scratch + d.sPooled;
    dropout(q, d.prediction, d.Kp, key(d.seed, STREAM_PRODUCTS, d.step, b), d.keepProducts);
    memory.fill(q + (<usize>d.Kp << 2), 0, <usize>d.Kp << 2);
  }
  const T = attendedForward(d, b, scratch, q, 0, training);
  return linear + attendedSum(d, scratch, T);
}

export function afmBackward(d: Desc, b: u32, scratch: usize, dy: f32, chunk: usize): void {
  const laneBytes = <usize>d.Kp << 2;
  store<f32>(chunk, load<f32>(chunk) + dy);
  memory.fill(scratch + d.sSlotGrad, 0, laneBytes * (d.M + 1));
  if (pairCount(d, scratch)) {
    const dq = chunkFields(d, chunk);
    if (d.keepProducts == KEEP_ALL) {
      attendedBackward(d, b, scratch, d.fieldPairs, dq, 0, dy, chunk, 0);
    } else {
      // The row's own gradient of q ⊙ mask passes the mask before it joins the others'.
      const q = scratch + d.sPooled, own = q + 2 * laneBytes;
      memory.fill(own, 0, 2 * laneBytes);
      attendedBackward(d, b, scratch, q, own, 0, dy, chunk, 0);
      dropout(own, own, d.Kp, key(d.seed, STREAM_PRODUCTS, d.step, b), d.keepProducts);
      for (let k: usize = 0; k < laneBytes; k += 16) {
        v128.store(dq + k, f32x4.add(v128.load(dq + k), v128.load(own + k)));
      }
    }
  }
  attendedRecords(d, b, scratch + d.sSlotGrad, dy, 0);
}

export function afmEnd(d: Desc, chunk: usize): void {
  attendedEnd(d, chunk);
  memory.copy(d.prediction + (d.grad - d.dense), chunkFields(d, chunk), <usize>d.Kp << 2);
}
