import { BPR, Desc, LOGISTIC } from "../abi";
import { exp64, log1p64 } from "../math";
import { hsum, zero } from "../simd";

/**
 * Loss of one row.   squared: ½ (ŷ - y)²;   logistic: log(1 + exp(-y ŷ)), y = ±1 (a label 0 is -1)
 *
 * The logistic loss is computed as max(-m, 0) + log1p(exp(-|m|)), m = y ŷ, which overflows nowhere.
 */
export function lossValue(kind: u32, yHat: f32, label: f32): f64 {
  if (kind == LOGISTIC) {
    const m: f64 = label > 0 ? <f64>yHat : -(<f64>yHat);
    return max<f64>(-m, 0) + log1p64(exp64(-abs(m)));
  }
  const e = <f64>yHat - <f64>label;
  return 0.5 * e * e;
}

/** dLoss/dŷ of one row: ŷ - y, or -y σ(-y ŷ). */
export function lossGradient(kind: u32, yHat: f32, label: f32): f32 {
  if (kind == LOGISTIC) {
    const m: f64 = label > 0 ? <f64>yHat : -(<f64>yHat);
    const sigma = probability(-m);
    return <f32>(label > 0 ? -sigma : sigma);
  }
  return yHat - label;
}

/**
 * Loss of rows b … b + rows - 1 of the batch, and its gradient.
 *
 *   bpr: rows b, b + 1 are a pair, the first to be ranked before the second:  log(1 + exp(-(ŷ_b - ŷ_{b+1})))
 *        (Rendle et al. 2009, eq. 4). The two gradients are exact opposites: what a pair shares stays as it is.
 *
 * @param dy   out f32[rows], d.dyScale · dLoss/dŷ
 * @param d    in  yHat, labels, order; blocks of bpr are even
 * @returns        the sum over the rows, or over the pairs
 */
export function lossOfRows(dy: usize, d: Desc, b: u32, rows: u32): f64 {
  let loss: f64 = 0;
  const scores = d.yHat + (<usize>b << 2);
  if (d.loss == BPR) {
    for (let i: usize = 0, bytes = <usize>rows << 2; i < bytes; i += 8) {
      const margin = load<f32>(scores + i) - load<f32>(scores + i, 4);
      const g = d.dyScale * lossGradient(LOGISTIC, margin, 1);
      loss += lossValue(LOGISTIC, margin, 1);
      store<f32>(dy + i, g);
      store<f32>(dy + i, -g, 4);
    }
    return loss;
  }
  const order = d.order + (<usize>(d.first + b) << 2);
  for (let i: usize = 0, bytes = <usize>rows << 2; i < bytes; i += 4) {
    const yHat = load<f32>(scores + i);
    const label = load<f32>(d.labels + (<usize>load<u32>(order + i) << 2));
    loss += lossValue(d.loss, yHat, label);
    store<f32>(dy + i, d.dyScale * lossGradient(d.loss, yHat, label));
  }
  return loss;
}

/** σ(x) = 1 / (1 + exp(-x)): the probability that belongs to a score. */
export function probability(x: f64): f64 {
  const e = exp64(-abs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

/** Whether `floats` (a multiple of 4) numbers are finite: x - x is 0 for those only. */
export function allFinite(x: usize, floats: usize): bool {
  assert((x & 15) == 0 && (floats & 3) == 0);
  let sum = zero();
  for (const end = x + (floats << 2); x < end; x += 16) {
    const v = v128.load(x);
    sum = f32x4.add(sum, f32x4.sub(v, v));
  }
  return hsum(sum) == 0;
}

/**
 * Sums that the metrics of the rows of a batch are made of.
 *
 * @param out       in/out f64[6] += squared error, absolute error (predictions clipped to [low, high]), logistic loss (raw
 *                  predictions); number of true positives, false positives, false negatives
 * @param d         in     yHat of the batch
 * @param threshold        predictions above it are positive
 * @param middle           labels above it are positive
 */
export function metricSums(out: usize, d: Desc, low: f32, high: f32, threshold: f32, middle: f32): void {
  let squared: f64 = 0, absolute: f64 = 0, logloss: f64 = 0;
  let tp: f64 = 0, fp: f64 = 0, fn: f64 = 0;
  for (let b: u32 = 0; b < d.count; b++) {
    const y = load<f32>(d.labels + (<usize>load<u32>(d.order + (<usize>(d.first + b) << 2)) << 2));
    const p = load<f32>(d.yHat + (<usize>b << 2));
    // A NaN must reach the sums: min and max of WebAssembly keep it.
    const e = <f64>max(low, min(high, p)) - <f64>y;
    squared += e * e;
    absolute += abs(e);
    const positive = y > middle;
    logloss += lossValue(LOGISTIC, p, positive ? 1 : -1);
    if (p > threshold) {
      if (positive) tp += 1;
      else fp += 1;
    } else if (positive) {
      fn += 1;
    }
  }
  store<f64>(out, load<f64>(out) + squared);
  store<f64>(out, load<f64>(out, 8) + absolute, 8);
  store<f64>(out, load<f64>(out, 16) + logloss, 16);
  store<f64>(out, load<f64>(out, 24) + tp, 24);
  store<f64>(out, load<f64>(out, 32) + fp, 32);
  store<f64>(out, load<f64>(out, 40) + fn, 40);
}
