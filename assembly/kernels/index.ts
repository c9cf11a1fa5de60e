/**
 * Test module: every kernel by itself, with plain signatures. Never shipped; the program's module is ../index.ts.
 *
 * A kernel that takes a Desc takes its address here. test/support/kernels.ts has the types for TypeScript.
 */
import { Desc } from "../abi";
import * as attention from "./attention";
import * as batchNorm from "./batch-norm";
import * as candidates from "./candidates";
import * as dense from "./dense";
import * as distinct from "./distinct";
import * as field from "./field";
import * as linear from "./linear";
import * as loss from "./loss";
import * as masked from "./masked";
import * as norms from "./norms";
import * as occurrences from "./occurrences";
import * as optimizer from "./optimizer";
import * as pairwise from "./pairwise";
import * as products from "./products";
import * as integrate from "./integrate";
import * as sampling from "./sampling";
import * as table from "./table";
import * as scatter from "./scatter";

/** All that kernels can do is tested. */
// @ts-ignore: decorator
@global const SMALL_TABLES = true;

export { softmax, softmaxBackward } from "./attention";
export { softmaxOfFour, spreadSlot, sumOfFour } from "./candidates";
export { matmul, matmulTransposedA } from "./dense";
export { gatherPairs, scatterPairs } from "./distinct";
export { dropout, dropoutMasks } from "./dropout";
export { allFinite, lossGradient, lossValue, probability } from "./loss";
export * from "./math-testing";
export { squaredNorm, stepIsFinite } from "./optimizer";
export { pairwiseBackward, pairwiseDropout, pairwiseKeptBackward } from "./pairwise";
export { productsBackward } from "./products";
export { topKeep, topSort } from "./top";
export { replaceUnknown } from "./unknown";

/** End of the module's own constants. */
export function heapBase(): usize {
  return __heap_base;
}

export function pairwiseForward(S: usize, z: usize, desc: usize, features: usize, values: usize, slots: u32): f32 {
  return pairwise.pairwiseForward(S, z, changetype<Desc>(desc), features, values, slots);
}

export function pairwiseRecordGradient(g: usize, record: usize, desc: usize, from: u32, to: u32): void {
  pairwise.pairwiseRecordGradient(g, record, changetype<Desc>(desc), from, to);
}

export function linearForward(desc: usize, features: usize, values: usize, slots: u32): f32 {
  return linear.linearForward(changetype<Desc>(desc), features, values, slots);
}

export function gatherSlots(slots: usize, desc: usize, features: usize, values: usize): u32 {
  return products.gatherSlots(slots, changetype<Desc>(desc), features, values);
}

export function knownPairs(out: usize, desc: usize, features: usize): u32 {
  return products.knownPairs(out, changetype<Desc>(desc), features);
}

export function padPairs(pairs: usize, count: u32, desc: usize): void {
  products.padPairs(pairs, count, changetype<Desc>(desc));
}

export function productsForward(
  out: usize, scores: usize, desc: usize, fields: usize, slots: usize, G: usize, pairs: usize, Pp: u32,
): void {
  products.productsForward(out, scores, changetype<Desc>(desc), fields, slots, G, pairs, Pp);
}

export function pairProducts(out: usize, slots: usize, pairs: usize, P: u32, lanes: u32, outBytes: usize): void {
  products.pairProducts(out, slots, pairs, P, lanes, outBytes);
}

export function concatForward(
  x: usize, desc: usize, fields: usize, slots: usize, T: usize, mask: usize, pairs: usize, P: u32, keepScale: f32,
): void {
  products.concatForward(x, changetype<Desc>(desc), fields, slots, T, mask, pairs, P, keepScale);
}

export function concatBackward(
  dT: usize, desc: usize, fields: usize, slots: usize, dx: usize, mask: usize, pairs: usize, P: u32, keepScale: f32,
): void {
  products.concatBackward(dT, changetype<Desc>(desc), fields, slots, dx, mask, pairs, P, keepScale);
}

export function distinctBegin(desc: usize, scratch: usize): void {
  distinct.distinctBegin(changetype<Desc>(desc), scratch);
}

export function gatherNew(slots: usize, desc: usize, rowSlots: usize, features: usize, values: usize): f32 {
  return distinct.gatherNew(slots, changetype<Desc>(desc), rowSlots, features, values);
}

export function distinctPairs(
  rowPairs: usize, rowSlots: usize, desc: usize, scratch: usize, features: usize, values: usize,
): u32 {
  return distinct.distinctPairs(rowPairs, rowSlots, changetype<Desc>(desc), scratch, features, values);
}

export function linkPairs(desc: usize, b: u32, rows: u32, scratch: usize, pairs: u32): void {
  masked.linkPairs(changetype<Desc>(desc), b, rows, scratch, pairs);
}

export function maskedScores(desc: usize, scratch: usize, first: usize, count: u32, G: usize): void {
  masked.maskedScores(changetype<Desc>(desc), scratch, first, count, G);
}

export function maskedRowScores(scores: usize, desc: usize, G: usize, mask: usize, count: u32): void {
  masked.maskedRowScores(scores, changetype<Desc>(desc), G, mask, count);
}

export function maskedGradients(C: usize, desc: usize, scratch: usize, first: usize, count: u32, k: u32): void {
  masked.maskedGradients(C, changetype<Desc>(desc), scratch, first, count, k);
}

export function maskedRowGradients(C: usize, desc: usize, dc: usize, mask: usize, P: u32, lanes: u32): void {
  masked.maskedRowGradients(C, changetype<Desc>(desc), dc, mask, P, lanes);
}

export function attentionForward(logits: usize, H: usize, desc: usize, P: u32): void {
  attention.attentionForward(logits, H, changetype<Desc>(desc), P);
}

export function attentionBackward(db: usize, dh: usize, H: usize, HT: usize, dlogit: usize, desc: usize, P: u32): void {
  attention.attentionBackward(db, dh, H, HT, dlogit, changetype<Desc>(desc), P);
}

export function fieldForward(desc: usize): void {
  field.fieldForward(changetype<Desc>(desc));
}

export function fieldBackward(dU: usize, dD: usize, dF: usize, desc: usize): void {
  field.fieldBackward(dU, dD, dF, changetype<Desc>(desc));
}

export function samplePairs(desc: usize): void {
  sampling.samplePairs(changetype<Desc>(desc));
}

export function networkBegin(desc: usize): void {
  dense.networkBegin(changetype<Desc>(desc));
}

export function networkForward(desc: usize, scratch: usize, x: usize, xBytes: usize, rows: u32): usize {
  return dense.networkForward(changetype<Desc>(desc), scratch, x, xBytes, rows);
}

export function networkBackward(
  desc: usize, scratch: usize, x: usize, dx: usize, xBytes: usize, rows: u32, dy: usize, chunk: usize,
): void {
  dense.networkBackward(changetype<Desc>(desc), scratch, x, dx, xBytes, rows, dy, chunk);
}

export function networkEnd(desc: usize, chunk: usize): void {
  dense.networkEnd(changetype<Desc>(desc), chunk);
}

export function batchNormStatistics(desc: usize): void {
  batchNorm.batchNormStatistics(changetype<Desc>(desc));
}

export function batchNormMoving(desc: usize): void {
  batchNorm.batchNormMoving(changetype<Desc>(desc));
}

export function batchNormForward(out: usize, z: usize, desc: usize): void {
  batchNorm.batchNormForward(out, z, changetype<Desc>(desc));
}

export function batchNormBackward(u: usize, du: usize, desc: usize): void {
  batchNorm.batchNormBackward(u, du, changetype<Desc>(desc));
}

export function batchNormEnd(desc: usize): void {
  batchNorm.batchNormEnd(changetype<Desc>(desc));
}

export function lossOfRows(dy: usize, desc: usize, b: u32, rows: u32): f64 {
  return loss.lossOfRows(dy, changetype<Desc>(desc), b, rows);
}

export function metricSums(out: usize, desc: usize, low: f32, high: f32, threshold: f32, middle: f32): void {
  loss.metricSums(out, changetype<Desc>(desc), low, high, threshold, middle);
}

export function optimizerStep(desc: usize, theta: usize, gradient: usize, floats: u32, l2: f32, scale: f32): void {
  optimizer.optimizerStep(changetype<Desc>(desc), theta, gradient, floats, l2, scale);
}

export function optimizerInit(desc: usize, theta: usize, floats: usize): void {
  optimizer.optimizerInit(changetype<Desc>(desc), theta, floats);
}

export function sortOccurrences(desc: usize): void {
  occurrences.sortOccurrences(changetype<Desc>(desc));
}

export function linearFrom(sum: f32, desc: usize, features: usize, values: usize, slots: u32): f32 {
  return table.linearFrom(sum, changetype<Desc>(desc), features, values, slots);
}

export function gatherAt(slots: usize, desc: usize, at: usize, features: usize, values: usize, count: u32): u32 {
  return table.gatherAt(slots, changetype<Desc>(desc), at, features, values, count);
}

export function gatherFour(out: usize, desc: usize, features: usize, values: usize): void {
  table.gatherFour(out, changetype<Desc>(desc), features, values);
}

export function productsOfFour(
  products: usize, scores: usize, desc: usize, slots: usize, pairs: usize, count: u32,
): void {
  candidates.productsOfFour(products, scores, changetype<Desc>(desc), slots, pairs, count);
}

export function concatOfFour(out: usize, T: usize, desc: usize, slots: usize, pair: usize): void {
  candidates.concatOfFour(out, T, changetype<Desc>(desc), slots, pair);
}

export function networkStart(desc: usize, scratch: usize, sums: usize, share: usize): usize {
  return dense.networkStart(changetype<Desc>(desc), scratch, sums, share);
}

export function networkInputs(sums: usize, desc: usize, x: usize, first: u32, inputs: u32): void {
  dense.networkInputs(sums, changetype<Desc>(desc), x, first, inputs);
}

export function pairwiseFrom(
  sums: usize, z: usize, base: usize, desc: usize, features: usize, values: usize, slots: u32,
): f32 {
  return pairwise.pairwiseFrom(sums, z, base, changetype<Desc>(desc), features, values, slots);
}

export function linearTerms(out: usize, desc: usize, features: usize, values: usize, slots: u32): void {
  table.linearTerms(out, changetype<Desc>(desc), features, values, slots);
}

export function pairTerms(out: usize, desc: usize, gain: usize, features: usize, values: usize, s: u32, slots: u32): void {
  table.pairTerms(out, changetype<Desc>(desc), gain, features, values, s, slots);
}

export function integratedGradients(out: usize, desc: usize, x: usize, blocks: u32, room: usize): f64 {
  return integrate.integratedGradients(out, changetype<Desc>(desc), x, blocks, room);
}

export function pairwiseNorms(
  out: usize, linear: f32, base: usize, desc: usize, rowPtr: usize, features: usize, values: usize, rows: u32,
): void {
  norms.pairwiseNorms(out, linear, base, changetype<Desc>(desc), rowPtr, features, values, rows);
}

export function tableBegin(desc: usize): void {
  table.tableBegin(changetype<Desc>(desc));
}

export function beginScatter(desc: usize): void {
  occurrences.beginScatter(changetype<Desc>(desc));
}

export function touchRows(desc: usize, from: u32, to: u32): u32 {
  return occurrences.touchRows(changetype<Desc>(desc), from, to);
}

export function scatterRow(desc: usize, S: usize, dy: f32, features: usize, values: usize, slots: u32): void {
  scatter.scatterRow(changetype<Desc>(desc), S, dy, features, values, slots);
}

export function scatteredGradient(g: usize, record: usize, desc: usize, t: u32): void {
  scatter.scatteredGradient(g, record, changetype<Desc>(desc), t);
}
