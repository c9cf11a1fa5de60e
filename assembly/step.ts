import { AFM, DEEPIFM, Desc, FM, INN } from "./abi";
import { batchNormBackward, batchNormEnd, batchNormMoving, batchNormStatistics } from "./kernels/batch-norm";
import { networkBegin, networkEnd } from "./kernels/dense";
import { lossOfRows } from "./kernels/loss";
import { sortOccurrences } from "./kernels/occurrences";
import { optimizerStep, squaredNorm } from "./kernels/optimizer";
import { pairwiseRecordGradient } from "./kernels/pairwise";
import { afmBackward, afmBegin, afmEnd, afmForward } from "./models/afm";
import { attendedRecordGradient } from "./models/attended";
import { deepifmBackward, deepifmForward } from "./models/deepifm";
import { fmBackward, fmForward, fmNormBegin, fmNormEnd } from "./models/fm";
import { ifmBackward, ifmBegin, ifmEnd, ifmForward } from "./models/ifm";
import { innBackward, innForward } from "./models/inn";

/*
 * The way of one batch:
 *
 *   batchBegin     what the rows share; the occurrences sorted by feature
 *   trainChunk     for each chunk of rows: forward, loss, backward           (chunks are independent)
 *   batchReduce    the chunks' dense gradients summed in chunk order
 *   batchClip      scale of global norm clipping
 *   updateDense    one step of the dense parameters
 *   updateRecords  each touched feature: sum its occurrences, one step       (ranges are independent)
 *
 * Neither chunks nor ranges depend on who computes them, so neither do the bits. Batch norm looks at the whole batch
 * between forward and backward, so FM with it goes over the rows once before (fmNormBegin) and once after (fmNormEnd).
 */

/** What the rows of a batch share, computed from the parameters. */
function derive(d: Desc): void {
  if (d.model == FM) return;
  if (d.model == AFM) afmBegin(d);
  else ifmBegin(d);
}

export function batchBegin(d: Desc): void {
  derive(d);
  networkBegin(d);
  sortOccurrences(d);
  if (d.batchNorm) {
    fmNormBegin(d, 0, d.count);
    batchNormStatistics(d);
  }
}

/** Scores of the block of rows b … b + rows - 1, into d.yHat. */
function forward(d: Desc, b: u32, rows: u32, scratch: usize, training: bool): void {
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

/** Backward of the same block; `dy` is f32[blockRows]. */
function backward(d: Desc, b: u32, rows: u32, scratch: usize, dy: usize, chunk: usize): void {
  if (d.model == INN) return innBackward(d, b, rows, scratch, dy, chunk);
  if (d.model == DEEPIFM) return deepifmBackward(d, b, rows, scratch, dy, chunk);
  for (let r: u32 = 0; r < rows; r++) {
    const row = scratch + <usize>r * d.scratchRow;
    const g = load<f32>(dy + (<usize>r << 2));
    if (d.model == FM) fmBackward(d, b + r, g, chunk);
    else if (d.model == AFM) afmBackward(d, b + r, row, g, chunk);
    else ifmBackward(d, b + r, row, g, chunk);
  }
}

/** Forward, loss and backward of the rows of chunk c. Its gradients, loss and scores are overwritten. */
export function trainChunk(d: Desc, c: u32, scratch: usize): void {
  const from = c * d.chunkRows, to = min(d.count, from + d.chunkRows);
  const chunk = d.chunkGrad + <usize>c * (<usize>d.chunkFloats << 2);
  const dy = scratch + d.sGradients;
  memory.fill(chunk, 0, <usize>d.chunkFloats << 2);
  let loss: f64 = 0;
  for (let b = from; b < to; b += d.blockRows) {
    const rows = min(d.blockRows, to - b);
    forward(d, b, rows, scratch, true);
    // Behind the rows of a block that is not full; a call for a few bytes is dear where a block is a row.
    if (rows < d.blockRows) memory.fill(dy, 0, <usize>d.blockRows << 2);
    loss += lossOfRows(dy, d, b, rows);
    backward(d, b, rows, scratch, dy, chunk);
  }
  store<f64>(d.chunkLoss + (<usize>c << 3), loss);
}

/** Chunks of the batch. */
@inline
export function chunkCount(d: Desc): u32 {
  return (d.count + d.chunkRows - 1) / d.chunkRows;
}

/** Sums losses and dense gradients in chunk order. Returns the loss, summed over the rows. */
export function batchReduce(d: Desc): f64 {
  const bytes = <usize>d.chunkFloats << 2;
  let loss = load<f64>(d.chunkLoss);
  for (let c: u32 = 1, chunks = chunkCount(d); c < chunks; c++) {
    loss += load<f64>(d.chunkLoss + (<usize>c << 3));
    const from = d.chunkGrad + <usize>c * bytes;
    for (let i: usize = 0; i < bytes; i += 16) {
      v128.store(d.chunkGrad + i, f32x4.add(v128.load(d.chunkGrad + i), v128.load(from + i)));
    }
  }
  const last = d.segments + <usize>(d.segmentCount - 1) * SEGMENT_BYTES;
  memory.fill(d.grad, 0, <usize>load<u32>(last) + (<usize>load<u32>(last, 4) << 2));
  store<f32>(d.grad + (d.bias - d.dense), load<f32>(d.chunkGrad));
  if (d.model == AFM) afmEnd(d, d.chunkGrad);
  else if (d.model != FM) ifmEnd(d, d.chunkGrad);
  networkEnd(d, d.chunkGrad);
  if (d.batchNorm) {
    batchNormBackward(d.rowZ, d.rowDz, d);
    batchNormEnd(d);
    fmNormEnd(d, 0, d.count);
  }
  return loss;
}

const SEGMENT_BYTES: usize = 16;

/** Sums the gradient of touched feature t into d.rowGrad. Returns the feature's record. */
@inline
function recordGradient(d: Desc, t: u32): usize {
  const at = <usize>t << 2;
  const record = d.table + <usize>load<u32>(d.touched + at) * (<usize>d.rowFloats << 2);
  const from = load<u32>(d.occStart + at), to = load<u32>(d.occStart + at, 4);
  if (d.model == FM) pairwiseRecordGradient(d.rowGrad, record, d, from, to);
  else attendedRecordGradient(d.rowGrad, d, from, to);
  return record;
}

/**
 * Factor of global norm clipping: min(1, clipNorm / ‖g‖₂) over every gradient that is trained, L2 terms included. The
 * records' gradients are summed here and again in updateRecords: that costs time only when clipping is on, and no memory.
 */
export function batchClip(d: Desc): f32 {
  if (d.clipNorm <= 0) return 1;
  const laneBytes = <usize>d.Kp << 2;
  let sum: f64 = 0;
  for (let i: u32 = 0; i < d.segmentCount; i++) {
    const s = d.segments + <usize>i * SEGMENT_BYTES;
    if (load<u32>(s, 12)) continue;
    const offset = <usize>load<u32>(s);
    sum += squaredNorm(d.dense + offset, d.grad + offset, load<u32>(s, 4), load<f32>(s, 8));
  }
  for (let t: u32 = 0; t < d.touchedCount; t++) {
    const record = recordGradient(d, t);
    if (!d.freezeEmbedding) sum += squaredNorm(record, d.rowGrad, d.Kp, d.l2Embedding);
    if (!d.freezeLinear) sum += squaredNorm(record + laneBytes, d.rowGrad + laneBytes, 4, d.l2Linear);
  }
  const norm = sqrt(sum);
  return norm > d.clipNorm ? <f32>(<f64>d.clipNorm / norm) : 1;
}

export function updateDense(d: Desc, scale: f32): void {
  for (let i: u32 = 0; i < d.segmentCount; i++) {
    const s = d.segments + <usize>i * SEGMENT_BYTES;
    if (load<u32>(s, 12)) continue;
    const offset = <usize>load<u32>(s);
    optimizerStep(d, d.dense + offset, d.grad + offset, load<u32>(s, 4), load<f32>(s, 8), scale);
  }
}

/** One step of record [ v | w ] with the gradient at `g`, or with a zero gradient. */
@inline
function updateRecord(d: Desc, record: usize, g: usize, l2Embedding: f32, l2Linear: f32, scale: f32): void {
  const laneBytes = <usize>d.Kp << 2;
  if (l2Embedding == l2Linear && !(d.freezeEmbedding | d.freezeLinear)) {
    optimizerStep(d, record, g, d.rowFloats, l2Linear, scale);
    return;
  }
  if (!d.freezeEmbedding) optimizerStep(d, record, g, d.Kp, l2Embedding, scale);
  if (!d.freezeLinear) optimizerStep(d, record + laneBytes, g ? g + laneBytes : 0, 4, l2Linear, scale);
}

/** Touched features from … to - 1. */
export function updateRecords(d: Desc, from: u32, to: u32, scale: f32): void {
  if (d.freezeEmbedding && d.freezeLinear) return;
  for (let t = from; t < to; t++) {
    updateRecord(d, recordGradient(d, t), d.rowGrad, d.l2Embedding, d.l2Linear, scale);
  }
}

/** Exact Adam: the moments of features from … to - 1 that the batch does not touch decay, and move them. */
export function updateUntouched(d: Desc, from: u32, to: u32): void {
  const rowBytes = <usize>d.rowFloats << 2;
  for (let j = from; j < to; j++) {
    if (load<u32>(d.slotOf + (<usize>j << 2))) continue;
    updateRecord(d, d.table + <usize>j * rowBytes, 0, 0, 0, 1);
  }
}

/** One batch on one thread. Returns the loss summed over its rows, before regularisation. */
export function trainBatch(d: Desc, scratch: usize): f64 {
  batchBegin(d);
  for (let c: u32 = 0, chunks = chunkCount(d); c < chunks; c++) trainChunk(d, c, scratch);
  const loss = batchReduce(d);
  const scale = batchClip(d);
  updateDense(d, scale);
  updateRecords(d, 0, d.touchedCount, scale);
  if (d.exactRows) updateUntouched(d, 0, d.n);
  return loss;
}

/** Scores of the rows order[first] … of the batch, into d.yHat. */
export function predictBatch(d: Desc, scratch: usize): void {
  derive(d);
  if (d.batchNorm) batchNormMoving(d);
  for (let b: u32 = 0; b < d.count; b += d.blockRows) forward(d, b, min(d.blockRows, d.count - b), scratch, false);
}
