import { AFM, DEEPIFM, Desc, FM, INN } from "./abi";
import { batchNormMoving } from "./kernels/batch-norm";
import { tableBegin } from "./kernels/table";
import { afmBegin } from "./models/afm";
import { deepifmForward } from "./models/deepifm";
import { fmForward, fmSmallForward } from "./models/fm";
import { ifmBegin, ifmForward } from "./models/ifm";
import { innForward } from "./models/inn";
import { sharedForward } from "./models/shared";

/*
 * Forward: what training and prediction share.
 */

/** What the rows of a batch share, computed from the parameters. */
export function derive(d: Desc): void {
  if (d.model == FM) return;
  if (d.model == AFM) afmBegin(d);
  else ifmBegin(d);
}

/**
 * Scores of the block of rows that begins with b, into d.yHat.
 *
 * @param from the first of the rows that are cut into blocks
 * @param to   behind the last
 * @returns rows of the block
 */
export function forward(d: Desc, from: u32, b: u32, to: u32, scratch: usize, training: bool): u32 {
  if (isDefined(SMALL_TABLES)) {
    if (d.tableFormat && d.model == FM && !d.batchNorm) {
      fmSmallForward(d, b, to);
      return to - b;
    }
  }
  if (d.sharedRows && (b - from) % d.sharedRows == 0) {
    const rows = min(d.sharedRows, to - b);
    if (sharedForward(d, b, rows, scratch, training)) return rows;
  }
  const rows = min(d.blockRows, to - b);
  if (d.model == INN) innForward(d, b, rows, scratch, training);
  else if (d.model == DEEPIFM) deepifmForward(d, b, rows, scratch, training);
  else {
    for (let r: u32 = 0; r < rows; r++) {
      const row = scratch + <usize>r * d.scratchRow;
      let yHat: f32;
      if (d.model == FM) yHat = fmForward(d, b + r, scratch + d.sRowGrad, training);
      else yHat = ifmForward(d, b + r, row, training);
      store<f32>(d.yHat + (<usize>(b + r) << 2), yHat);
    }
  }
  return rows;
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
  for (let b = from; b < to; ) b += forward(d, from, b, to, scratch, false);
}
