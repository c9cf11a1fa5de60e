import { AFM, DEEPIFM, Desc, FM, INN } from "./abi";
import { batchNormMoving } from "./kernels/batch-norm";
import { tableBegin } from "./kernels/table";
import { afmBegin, afmForward } from "./models/afm";
import { deepifmForward } from "./models/deepifm";
import { fmForward } from "./models/fm";
import { ifmBegin, ifmForward } from "./models/ifm";
import { innForward } from "./models/inn";

/*
 * Forward: what training and prediction share.
 */

/** What the rows of a batch share, computed from the parameters. */
export function derive(d: Desc): void {
  if (d.model == FM) return;
  if (d.model == AFM) afmBegin(d);
  else ifmBegin(d);
}

/** Scores of the block of rows b … b + rows - 1, into d.yHat. */
export function forward(d: Desc, b: u32, rows: u32, scratch: usize, training: bool): void {
  if (d.model == INN) return innForward(d, b, rows, scratch, training);
  if (d.model == DEEPIFM) return deepifmForward(d, b, rows, scratch, training);
  for (let r: u32 = 0; r < rows; r++) {
    const row = scratch + <usize>r * d.scratchRow;
    let yHat: f32;
    if (d.model == FM) yHat = fmForward(d, b + r, training);
    else if (d.model == AFM) yHat = afmForward(d, b + r, row, training);
    else yHat = ifmForward(d, b + r, row, training);
    store<f32>(d.yHat + (<usize>(b + r) << 2), yHat);
  }
}

/** Before rows are scored: what they share. */
export function scoreBegin(d: Desc): void {
  // Once for many calls: at K = 256 the 45 vectors F_p of ten fields take as long as four rows.
  if (d.derived) return;
  derive(d);
  if (d.batchNorm) batchNormMoving(d);
  if (isDefined(SMALL_TABLES)) {
    tableBegin(d);
  }
  d.derived = 1;
}

/** Rows from … to - 1 of the batch; after scoreBegin. */
export function scoreRows(d: Desc, from: u32, to: u32, scratch: usize): void {
  for (let b = from; b < to; b += d.blockRows) forward(d, b, min(d.blockRows, to - b), scratch, false);
}
