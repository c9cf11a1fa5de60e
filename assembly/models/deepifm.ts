import { Desc } from "../abi";
import { networkBackward, networkForward } from "../kernels/dense";
import { attendedRecords } from "./attended";
import { ifmBackwardPairs, ifmForward } from "./ifm";
import { addOutput } from "./inn";

/**
 * DeepIFM (`SIFMNetwork` of the authors): y = linear + Σ_p T_p <e_p, F_p> + MLP(concat_s v[j_s] x_s). The slots as IFM has
 * gathered them are the network's input; unknown features are zeros there.
 *
 * @param rows of the block, b … b + rows - 1
 */
export function deepifmForward(d: Desc, b: u32, rows: u32, scratch: usize, training: bool): void {
  for (let r: u32 = 0; r < d.blockRows; r++) {
    const row = scratch + <usize>r * d.scratchRow;
    if (r < rows) store<f32>(d.yHat + (<usize>(b + r) << 2), ifmForward(d, b + r, row, training));
    else memory.fill(row + d.sSlots, 0, (<usize>d.Kp << 2) * d.M);
  }
  addOutput(d, b, rows, networkForward(d, scratch, scratch + d.sSlots, d.scratchRow, d.blockRows));
}

/** @param dy f32[blockRows] dLoss/dŷ, 0 behind the block's rows */
export function deepifmBackward(d: Desc, b: u32, rows: u32, scratch: usize, dy: usize, chunk: usize): void {
  const laneBytes = <usize>d.Kp << 2;
  networkBackward(d, scratch, scratch + d.sSlots, scratch + d.sSlotGrad, d.scratchRow, d.blockRows, dy, chunk);
  for (let r: u32 = 0; r < rows; r++) {
    const row = scratch + <usize>r * d.scratchRow;
    const g = load<f32>(dy + (<usize>r << 2));
    memory.fill(row + d.sSlotGrad + laneBytes * d.M, 0, laneBytes);
    ifmBackwardPairs(d, b + r, row, g, chunk);
    attendedRecords(d, b + r, row + d.sSlotGrad, g, 0);
  }
}
