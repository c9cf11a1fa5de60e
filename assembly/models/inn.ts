import { Desc } from "../abi";
import { networkBackward, networkForward } from "../kernels/dense";
import { concatBackward, concatForward } from "../kernels/products";
import { keepScale } from "../random";
import {
  attendedBackward, attendedForward, attendedRecords, attendedSlots, chunkFields, pairCount, pairsOf, productMask,
} from "./attended";
import { keptMask } from "./ifm";

/**
 * INN (Hong, Huang, Chen, AAAI 2019): y = linear + MLP(concat_p (T_p e_p ⊙ F_p)). Pairs that are absent (unknown features)
 * leave zeros in their places. A block of rows goes through the network together; the concatenation exists for a block
 * only.
 *
 * @param rows of the block, b … b + rows - 1
 */
export function innForward(d: Desc, b: u32, rows: u32, scratch: usize, training: bool): void {
  const inputBytes = (<usize>d.Kp << 2) * d.fieldRows;
  const x = scratch + d.sInput;
  for (let r: u32 = 0; r < d.blockRows; r++) {
    const row = scratch + <usize>r * d.scratchRow, input = x + <usize>r * d.scratchRow;
    if (r >= rows) {
      memory.fill(input, 0, inputBytes);
      continue;
    }
    store<f32>(d.yHat + (<usize>(b + r) << 2), attendedSlots(d, b + r, row));
    const P = pairCount(d, row);
    if (P < d.fieldRows) memory.fill(input, 0, inputBytes);
    if (!P) continue;
    const mask = productMask(d, b + r, row, training);
    // The mask acts on the network's input; c_p is not used.
    const T = attendedForward(d, b + r, row, d.fieldPairs, 0, training);
    const scale: f32 = mask ? keepScale(d.keepProducts) : 1;
    concatForward(input, d, d.fieldPairs, row + d.sSlots, T, mask, pairsOf(d, row), P, scale);
  }
  addOutput(d, b, rows, networkForward(d, scratch, x, d.scratchRow, d.blockRows));
}

/** Adds the network's output, lane 0 of each row, to the scores. */
export function addOutput(d: Desc, b: u32, rows: u32, top: usize): void {
  for (let r: u32 = 0; r < rows; r++, top += 16) {
    const at = d.yHat + (<usize>(b + r) << 2);
    store<f32>(at, load<f32>(at) + load<f32>(top));
  }
}

/** @param dy f32[blockRows] dLoss/dŷ, 0 behind the block's rows */
export function innBackward(d: Desc, b: u32, rows: u32, scratch: usize, dy: usize, chunk: usize): void {
  networkBackward(d, scratch, scratch + d.sInput, scratch + d.sInputGrad, d.scratchRow, d.blockRows, dy, chunk);
  for (let r: u32 = 0; r < rows; r++) {
    const row = scratch + <usize>r * d.scratchRow;
    const g = load<f32>(dy + (<usize>r << 2));
    store<f32>(chunk, load<f32>(chunk) + g);
    memory.fill(row + d.sSlotGrad, 0, (<usize>d.Kp << 2) * (d.M + 1));
    const P = pairCount(d, row);
    if (P) {
      const dx = row + d.sInputGrad, mask = keptMask(d, row);
      memory.fill(dx + (<usize>d.Kp << 2) * d.fieldRows, 0, <usize>d.Kp << 2);
      const scale: f32 = mask ? keepScale(d.keepProducts) : 1;
      concatBackward(row + d.sScores, d, d.fieldPairs, row + d.sSlots, dx, mask, pairsOf(d, row), P, scale);
      attendedBackward(d, b + r, row, d.fieldPairs, chunkFields(d, chunk), mask, 1, chunk, dx);
    }
    attendedRecords(d, b + r, row + d.sSlotGrad, g, 0);
  }
}
