/** Array wrappers of ../math and ../random for the tests. Not part of the shipped module. */
import {
  exp1,
  exp4,
  expNegative2,
  expNegative4,
  log1p1,
  log1p4,
  log1pUnit2,
  log64,
  sigmoid1,
  sigmoid4,
  tanh1,
  tanh4,
} from "../math";
import {
  below,
  fillNormal,
  hash32,
  hash4,
  keepScale,
  keepThreshold,
  key,
  normal,
  quantile,
  shuffle,
} from "../random";

/** out[i] = f(x[i]) for i < n, n a multiple of 4; out and x 16-aligned, may be the same */
export function exp4Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) v128.store(out + i, exp4(v128.load(x + i)));
}

export function expNegative4Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) v128.store(out + i, expNegative4(v128.load(x + i)));
}

export function tanh4Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) v128.store(out + i, tanh4(v128.load(x + i)));
}

export function sigmoid4Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) v128.store(out + i, sigmoid4(v128.load(x + i)));
}

export function log1p4Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) v128.store(out + i, log1p4(v128.load(x + i)));
}

export function exp1Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 4) store<f32>(out + i, exp1(load<f32>(x + i)));
}

export function tanh1Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 4) store<f32>(out + i, tanh1(load<f32>(x + i)));
}

export function sigmoid1Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 4) store<f32>(out + i, sigmoid1(load<f32>(x + i)));
}

export function log1p1Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 4) store<f32>(out + i, log1p1(load<f32>(x + i)));
}

export function expNegative2Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 3; i < end; i += 16) v128.store(out + i, expNegative2(v128.load(x + i)));
}

export function log64Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 3; i < end; i += 8) store<f64>(out + i, log64(load<f64>(x + i)));
}

export function log1pUnit2Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 3; i < end; i += 16) v128.store(out + i, log1pUnit2(v128.load(x + i)));
}

export function hash32Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 4) store<u32>(out + i, hash32(load<u32>(x + i)));
}

export function hash4Array(out: usize, x: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) v128.store(out + i, hash4(v128.load(x + i)));
}

export function randomKey(seed: u32, stream: u32, step: u32, row: u32): u32 {
  return key(seed, stream, step, row);
}

export function randomKeepThreshold(keep: f32): u32 {
  return keepThreshold(keep);
}

export function randomKeepScale(threshold: u32): f32 {
  return keepScale(threshold);
}

/** out f64[n]: normal(key, first + i) */
export function normalArray(out: usize, n: u32, key: u32, first: u64): void {
  for (let i: u32 = 0; i < n; i++) store<f64>(out + (<usize>i << 3), normal(key, first + i));
}

export function quantileArray(out: usize, p: usize, n: u32): void {
  for (let i: usize = 0, end = <usize>n << 3; i < end; i += 8) store<f64>(out + i, quantile(load<f64>(p + i)));
}

export function fillNormalRows(out: usize, rows: u32, cols: u32, strideFloats: u32, key: u32, std: f64): void {
  fillNormal(out, rows, cols, strideFloats, key, std);
}

export function randomBelow(key: u32, index: u32, n: u32): u32 {
  return below(key, index, n);
}

export function shuffleOrder(order: usize, n: u32, key: u32): void {
  shuffle(order, n, key);
}
