// The module's exports, and nothing else. Pointers are bytes; `desc` is the address of abi.ts's Desc.
import { ABI_VERSION, Desc } from "./abi";
import * as loss from "./kernels/loss";
import { optimizerInit } from "./kernels/optimizer";
import { below, fillNormal, keepThreshold, key, shuffle } from "./random";
import * as step from "./step";

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

export { allFinite, probability } from "./kernels/loss";
export { replaceUnknown } from "./kernels/unknown";
export { sha256 } from "./sha256";

// Before training
export { below, fillNormal, keepThreshold, key, shuffle };

export function initState(desc: usize, theta: usize, floats: usize): void {
  optimizerInit(changetype<Desc>(desc), theta, floats);
}

// One batch in one call
export function trainBatch(desc: usize, scratch: usize): f64 {
  return step.trainBatch(changetype<Desc>(desc), scratch);
}

export function predictBatch(desc: usize, scratch: usize): void {
  step.predictBatch(changetype<Desc>(desc), scratch);
}

// The same in phases, for several threads: see step.ts
export function trainBegin(desc: usize): void {
  step.trainBegin(changetype<Desc>(desc));
}

export function trainReduce(desc: usize): f64 {
  return step.trainReduce(changetype<Desc>(desc));
}

export function trainNext(desc: usize): bool {
  return step.trainNext(changetype<Desc>(desc));
}

export function predictBegin(desc: usize): void {
  step.predictBegin(changetype<Desc>(desc));
}

export function work(desc: usize, scratch: usize): void {
  step.work(changetype<Desc>(desc), scratch);
}

// After a batch
export function metricSums(out: usize, desc: usize, low: f32, high: f32, threshold: f32, middle: f32): void {
  loss.metricSums(out, changetype<Desc>(desc), low, high, threshold, middle);
}
