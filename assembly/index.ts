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

// Its parts, for threads and tests
export function batchBegin(desc: usize): void {
  step.batchBegin(changetype<Desc>(desc));
}

export function trainChunk(desc: usize, chunk: u32, scratch: usize): void {
  step.trainChunk(changetype<Desc>(desc), chunk, scratch);
}

export function batchReduce(desc: usize): f64 {
  return step.batchReduce(changetype<Desc>(desc));
}

export function batchClip(desc: usize): f32 {
  return step.batchClip(changetype<Desc>(desc));
}

export function updateDense(desc: usize, scale: f32): void {
  step.updateDense(changetype<Desc>(desc), scale);
}

export function updateRecords(desc: usize, from: u32, to: u32, scale: f32): void {
  step.updateRecords(changetype<Desc>(desc), from, to, scale);
}

export function updateUntouched(desc: usize, from: u32, to: u32): void {
  step.updateUntouched(changetype<Desc>(desc), from, to);
}

// After a batch
export function metricSums(out: usize, desc: usize, low: f32, high: f32, threshold: f32, middle: f32): void {
  loss.metricSums(out, changetype<Desc>(desc), low, high, threshold, middle);
}
