import { AFM, DEEPIFM, Desc, FM, INN } from "./abi";
import { assertBatch } from "./bounds";
import { batchNormBackward, batchNormEnd, batchNormStatistics } from "./kernels/batch-norm";
import { networkBegin, networkEnd } from "./kernels/dense";
import { lossOfRows } from "./kernels/loss";
import { beginScatter, sortOccurrences, touchRows } from "./kernels/occurrences";
import { optimizerStep, squaredNorm, stepIsFinite } from "./kernels/optimizer";
import { pairwiseRecordGradient } from "./kernels/pairwise";
import { scatteredGradient } from "./kernels/scatter";
import { afmEnd } from "./models/afm";
import { attendedRecordGradient } from "./models/attended";
import { deepifmBackward } from "./models/deepifm";
import { fmBackward, fmNormBegin, fmNormEnd } from "./models/fm";
import { ifmBackward, ifmEnd } from "./models/ifm";
import { innBackward } from "./models/inn";
import { sharedBackward, sharedPairs } from "./models/shared";
import { derive, forward, scoreBegin, scoreRows } from "./score";

/*
 * The way of one batch:
 *
 *   trainBegin     what the rows share
 *   CHUNKS         for each chunk of rows: forward, loss, backward; beside them the occurrences are sorted by feature
 *   trainReduce    the chunks' dense gradients summed in chunk order
 *   SQUARES        with clipping: the squared norm of each touched feature's gradient
 *   trainNext      one step of the dense parameters
 *   RECORDS        each touched feature: sum its occurrences, one step
 *   UNTOUCHED      exact Adam: all other features
 *
 * The parts in capitals are phases: lists of jobs that may run in any order, on any number of threads. What a job does
 * does not depend on who does it, so neither do the bits. Between phases one thread works alone. Batch norm looks at the
 * whole batch between forward and backward, so FM with it goes over the rows once before (fmNormBegin) and once after
 * (fmNormEnd), on that thread.
 */

const CHUNKS: u32 = 0;
const SQUARES: u32 = 1;
const RECORDS: u32 = 2;
const UNTOUCHED: u32 = 3;
const SCORES: u32 = 4;

// Small enough that the last job of a phase keeps nobody waiting, large enough that taking one costs nothing.
const RECORDS_PER_JOB: u32 = 32;
const UNTOUCHED_PER_JOB: u32 = 1024;
/** A multiple of every blockRows. */
const ROWS_PER_JOB: u32 = 64;

/** Begins a phase. Whoever calls `work` from now on takes part in it. */
function open(d: Desc, phase: u32, jobs: u32): void {
  d.phase = phase;
  d.jobs = jobs;
  d.nextJob = 0;
}

@inline
function jobsFor(items: u32, perJob: u32): u32 {
  return (items + perJob - 1) / perJob;
}

/** Takes a job. No two threads get the same. */
@inline
function take(d: Desc): u32 {
  const next = changetype<usize>(d) + offsetof<Desc>("nextJob");
  if (ASC_FEATURE_THREADS) return atomic.add<u32>(next, 1);
  const job = load<u32>(next);
  store<u32>(next, job + 1);
  return job;
}

/** Does jobs of the phase until none is left. */
export function work(d: Desc, scratch: usize): void {
  for (let job = take(d); job < d.jobs; job = take(d)) runJob(d, job, scratch);
}

/** @param scratch this thread's own */
function runJob(d: Desc, job: u32, scratch: usize): void {
  if (d.phase == CHUNKS) {
    // First, because it may take as long as some chunks.
    if (job == 0) beginFeatures(d);
    else trainChunk(d, job - 1, scratch);
  } else if (d.phase == SCORES) {
    const from = job * ROWS_PER_JOB;
    scoreRows(d, from, min(d.count, from + ROWS_PER_JOB), scratch);
  } else if (d.phase == UNTOUCHED) {
    const from = job * UNTOUCHED_PER_JOB;
    updateUntouched(d, from, min(d.n, from + UNTOUCHED_PER_JOB));
  } else {
    const from = job * RECORDS_PER_JOB;
    const to = min(d.touchedCount, from + RECORDS_PER_JOB);
    if (d.phase == SQUARES) squareRecords(d, from, to, scratch + d.sRowGrad);
    else updateRecords(d, from, to, scratch + d.sRowGrad);
  }
}

/** Finds out which features the batch touches, or makes ready to do so row by row. */
function beginFeatures(d: Desc): void {
  if (d.featureGrad) beginScatter(d);
  else sortOccurrences(d);
}

export function trainBegin(d: Desc): void {
  assertBatch(d);
  derive(d);
  d.derived = 0;
  networkBegin(d);
  if (d.batchNorm) {
    fmNormBegin(d, 0, d.count);
    batchNormStatistics(d);
  }
  open(d, CHUNKS, chunkCount(d) + 1);
}

/** Backward of the same block; `dy` is f32[rows]. */
function backward(d: Desc, b: u32, rows: u32, scratch: usize, dy: usize, chunk: usize): void {
  if (d.sharedRows && sharedPairs(d, scratch)) return sharedBackward(d, b, rows, scratch, dy, chunk);
  if (d.model == INN) return innBackward(d, b, rows, scratch, dy, chunk);
  if (d.model == DEEPIFM) return deepifmBackward(d, b, rows, scratch, dy, chunk);
  for (let r: u32 = 0; r < rows; r++) {
    const row = scratch + <usize>r * d.scratchRow;
    const g = load<f32>(dy + (<usize>r << 2));
    if (d.model == FM) fmBackward(d, b + r, g, chunk);
    else ifmBackward(d, b + r, row, g, chunk);
  }
}

/** Forward, loss and backward of the rows of chunk c. Its gradients, loss and scores are overwritten. */
function trainChunk(d: Desc, c: u32, scratch: usize): void {
  const from = c * d.chunkRows, to = min(d.count, from + d.chunkRows);
  const chunk = d.chunkGrad + <usize>c * (<usize>d.chunkFloats << 2);
  const dy = scratch + d.sGradients;
  memory.fill(chunk, 0, <usize>d.chunkFloats << 2);
  // Another thread has read the rows: two threads train FM, K = 64 on Frappe, 1.40 instead of 1.34 × as fast as one.
  if (ASC_FEATURE_THREADS) store<u32>(dy, touchRows(d, from, to));
  let loss: f64 = 0;
  for (let b = from; b < to; ) {
    const rows = forward(d, from, b, to, scratch, true);
    // Behind the rows of a block that is not full; a call for a few bytes is dear where a block is a row.
    if (rows < d.blockRows) memory.fill(dy, 0, <usize>d.blockRows << 2);
    loss += lossOfRows(dy, d, b, rows);
    backward(d, b, rows, scratch, dy, chunk);
    b += rows;
  }
  store<f64>(d.chunkLoss + (<usize>c << 3), loss);
}

/** Chunks of the batch. */
@inline
function chunkCount(d: Desc): u32 {
  return (d.count + d.chunkRows - 1) / d.chunkRows;
}

/**
 * Sums losses and dense gradients in chunk order. Returns the loss summed over the rows, before regularisation; when that
 * is not finite, the batch changes no weight.
 */
export function trainReduce(d: Desc): f64 {
  const bytes = <usize>d.chunkFloats << 2;
  let loss = load<f64>(d.chunkLoss);
  for (let c: u32 = 1, chunks = chunkCount(d); c < chunks; c++) {
    loss += load<f64>(d.chunkLoss + (<usize>c << 3));
    const from = d.chunkGrad + <usize>c * bytes;
    for (let i: usize = 0; i < bytes; i += 16) {
      v128.store(d.chunkGrad + i, f32x4.add(v128.load(d.chunkGrad + i), v128.load(from + i)));
    }
  }
  if (loss - loss != 0) {
    // No step: the weights stay those that such scores come from, and the phases that follow have no jobs.
    open(d, UNTOUCHED, 0);
    return loss;
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
  if (d.clipNorm > 0) {
    open(d, SQUARES, jobsFor(d.touchedCount, RECORDS_PER_JOB));
  } else {
    d.updateScale = 1;
    openRecords(d);
  }
  return loss;
}

/** Goes on to the phase after SQUARES or RECORDS. Returns whether there is one. */
export function trainNext(d: Desc): bool {
  if (d.phase == SQUARES) {
    d.updateScale = clipScale(d);
    openRecords(d);
    return true;
  }
  if (d.phase == UNTOUCHED || !d.exactRows) return false;
  open(d, UNTOUCHED, jobsFor(d.n, UNTOUCHED_PER_JOB));
  return true;
}

function openRecords(d: Desc): void {
  updateDense(d);
  open(d, RECORDS, d.freezeEmbedding && d.freezeLinear ? 0 : jobsFor(d.touchedCount, RECORDS_PER_JOB));
}

const SEGMENT_BYTES: usize = 16;

/** Sums the gradient of touched feature t into f32[rowFloats] at g. Returns the feature's record. */
function recordGradient(g: usize, d: Desc, t: u32): usize {
  const at = <usize>t << 2;
  const record = d.table + <usize>load<u32>(d.touched + at) * (<usize>d.rowFloats << 2);
  if (d.featureGrad) {
    scatteredGradient(g, record, d, t);
    return record;
  }
  const from = load<u32>(d.occStart + at), to = load<u32>(d.occStart + at, 4);
  if (d.model == FM) pairwiseRecordGradient(g, record, d, from, to);
  else attendedRecordGradient(g, d, from, to);
  return record;
}

/**
 * Squared norm of what is trained of the gradients of touched features from … to - 1. The gradients are summed here and
 * again in updateRecords: that costs time only when clipping is on, and no memory.
 */
function squareRecords(d: Desc, from: u32, to: u32, g: usize): void {
  const laneBytes = <usize>d.Kp << 2;
  for (let t = from; t < to; t++) {
    const record = recordGradient(g, d, t);
    let sum: f64 = 0;
    if (!d.freezeEmbedding) sum += squaredNorm(record, g, d.Kp, d.l2Embedding);
    if (!d.freezeLinear) sum += squaredNorm(record + laneBytes, g + laneBytes, 4, d.l2Linear);
    store<f64>(d.squares + (<usize>t << 3), sum);
  }
}

/** Factor of global norm clipping: min(1, clipNorm / ‖g‖₂) over every gradient that is trained, L2 terms included. */
function clipScale(d: Desc): f32 {
  let sum: f64 = 0;
  for (let i: u32 = 0; i < d.segmentCount; i++) {
    const s = d.segments + <usize>i * SEGMENT_BYTES;
    if (load<u32>(s, 12)) continue;
    const offset = <usize>load<u32>(s);
    sum += squaredNorm(d.dense + offset, d.grad + offset, load<u32>(s, 4), load<f32>(s, 8));
  }
  for (let t: u32 = 0; t < d.touchedCount; t++) sum += load<f64>(d.squares + (<usize>t << 3));
  const norm = sqrt(sum);
  return norm > d.clipNorm ? <f32>(<f64>d.clipNorm / norm) : 1;
}

/** One step of the dense parameters. */
function updateDense(d: Desc): void {
  for (let i: u32 = 0; i < d.segmentCount; i++) {
    const s = d.segments + <usize>i * SEGMENT_BYTES;
    if (load<u32>(s, 12)) continue;
    const offset = <usize>load<u32>(s);
    const theta = d.dense + offset, gradient = d.grad + offset, floats = load<u32>(s, 4);
    optimizerStep(d, theta, gradient, floats, load<f32>(s, 8), d.updateScale);
    if (!stepIsFinite(theta, gradient, floats, d.updateScale)) d.diverged = 1;
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
function updateRecords(d: Desc, from: u32, to: u32, g: usize): void {
  for (let t = from; t < to; t++) {
    const record = recordGradient(g, d, t);
    updateRecord(d, record, g, d.l2Embedding, d.l2Linear, d.updateScale);
    // While it is in cache: FM on Frappe, K = 8 and 64, takes no longer than without.
    if (!stepIsFinite(record, g, d.rowFloats, d.updateScale)) d.diverged = 1;
  }
}

/** Exact Adam: the moments of features from … to - 1 that the batch does not touch decay, and move them. */
function updateUntouched(d: Desc, from: u32, to: u32): void {
  const rowBytes = <usize>d.rowFloats << 2;
  for (let j = from; j < to; j++) {
    if (load<u32>(d.slotOf + (<usize>j << 2))) continue;
    updateRecord(d, d.table + <usize>j * rowBytes, 0, 0, 0, 1);
  }
}

/** A whole batch on one thread. Returns the loss summed over its rows, before regularisation. */
export function trainBatch(d: Desc, scratch: usize): f64 {
  trainBegin(d);
  work(d, scratch);
  const loss = trainReduce(d);
  do work(d, scratch);
  while (trainNext(d));
  return loss;
}

/** Before the rows order[first] … of the batch are scored, into d.yHat. */
export function predictBegin(d: Desc): void {
  assertBatch(d);
  scoreBegin(d);
  open(d, SCORES, jobsFor(d.count, ROWS_PER_JOB));
}

/** A whole batch on one thread. */
export function predictBatch(d: Desc, scratch: usize): void {
  predictBegin(d);
  work(d, scratch);
}
