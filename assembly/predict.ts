// The module of models on one thread: prediction of every kind, from tables of every format, and no training.
import { ABI_VERSION, Desc } from "./abi";
import { assertBatch } from "./bounds";
import * as loss from "./kernels/loss";
import { scoreBegin, scoreRows } from "./score";

export * from "./serve";
export { allFinite, probability } from "./kernels/loss";
export { replaceUnknown } from "./kernels/unknown";
export { sha256 } from "./sha256";

export function abiVersion(): u32 {
  return ABI_VERSION;
}

export function descBytes(): u32 {
  return offsetof<Desc>();
}

/** End of the module's own constants; TypeScript allocates from here on. */
export function heapBase(): usize {
  return __heap_base;
}

export function predictBatch(desc: usize, scratch: usize): void {
  const d = changetype<Desc>(desc);
  assertBatch(d);
  scoreBegin(d);
  scoreRows(d, 0, d.count, scratch);
}

export function metricSums(out: usize, desc: usize, low: f32, high: f32, threshold: f32, middle: f32): void {
  loss.metricSums(out, changetype<Desc>(desc), low, high, threshold, middle);
}
