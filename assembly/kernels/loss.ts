import { BPR, Desc, LOGISTIC, SQUARED } from "../abi";
import { expNegative2, log1pUnit2 } from "../math";
import { hsum, zero } from "../simd";

/*
 * The logistic loss is computed as max(-m, 0) + log1p(exp(-|m|)), m = y ŷ, which overflows nowhere. Two rows share the
 * two lanes of f64: with one after the other it took 0.2 of the time of a batch of FM, K = 8, and now half of that.
 */

/** m = y ŷ as f32: ŷ, with the other sign unless the row is positive. */
@inline
function margin(yHat: f32, positive: bool): f32 {
  return reinterpret<f32>(reinterpret<u32>(yHat) ^ (<u32>!positive << 31));
}

/** [a b] in f64 */
@inline
function pair(a: f32, b: f32): v128 {
  return f64x2.replace_lane(f64x2.splat(a), 1, b);
}

/** The sum of two numbers of rows. */
@inline
function total(counts: v128): f64 {
  return <f64>(i64x2.extract_lane(counts, 0) + i64x2.extract_lane(counts, 1));
}

/** e^-|m| on two f64 lanes. */
function complement2(m: v128): v128 {
  return expNegative2(v128.or(m, f64x2.splat(-0.0)));
}

/** log(1 + e^-m); e = complement2(m) */
function logistic2(m: v128, e: v128): v128 {
  return f64x2.add(f64x2.pmax(f64x2.neg(m), f64x2.splat(0)), log1pUnit2(e));
}

/** σ(-m) = 1 / (1 + e^m) = (m > 0 ? e : 1) / (1 + e), the size of the loss's derivative */
@inline
function sigma2(m: v128, e: v128): v128 {
  const one = f64x2.splat(1);
  return f64x2.div(v128.bitselect(e, one, f64x2.gt(m, f64x2.splat(0))), f64x2.add(one, e));
}

/** Loss of one row.   squared: ½ (ŷ - y)²;   logistic: log(1 + exp(-y ŷ)), y = ±1 (a label 0 is -1) */
export function lossValue(kind: u32, yHat: f32, label: f32): f64 {
  if (kind == LOGISTIC) {
    const m = f64x2.splat(margin(yHat, label > 0));
    return f64x2.extract_lane(logistic2(m, complement2(m)), 0);
  }
  const e = <f64>yHat - <f64>label;
  return 0.5 * e * e;
}

/** dLoss/dŷ of one row: ŷ - y, or -y σ(-y ŷ). */
export function lossGradient(kind: u32, yHat: f32, label: f32): f32 {
  if (kind == LOGISTIC) {
    const m = f64x2.splat(margin(yHat, label > 0));
    return -margin(<f32>f64x2.extract_lane(sigma2(m, complement2(m)), 0), label > 0);
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
  const bytes = <usize>rows << 2;
  if (d.loss == BPR) {
    for (let i: usize = 0; i < bytes; i += 8) {
      const m = f64x2.splat(load<f32>(scores + i) - load<f32>(scores + i, 4));
      const e = complement2(m);
      loss += f64x2.extract_lane(logistic2(m, e), 0);
      const g = d.dyScale * -(<f32>f64x2.extract_lane(sigma2(m, e), 0));
      store<f32>(dy + i, g);
      store<f32>(dy + i, -g, 4);
    }
    return loss;
  }
  const order = d.order + (<usize>(d.first + b) << 2);
  if (d.loss == LOGISTIC) {
    for (let i: usize = 0; i < bytes; i += 8) {
      // The last of an odd number of rows is computed twice.
      const j = min(i + 4, bytes - 4);
      const first = load<f32>(d.labels + (<usize>load<u32>(order + i) << 2)) > 0;
      const second = load<f32>(d.labels + (<usize>load<u32>(order + j) << 2)) > 0;
      const m = pair(margin(load<f32>(scores + i), first), margin(load<f32>(scores + j), second));
      const e = complement2(m);
      const losses = logistic2(m, e), sigmas = f32x4.demote_f64x2_zero(sigma2(m, e));
      loss += f64x2.extract_lane(losses, 0);
      if (j > i) loss += f64x2.extract_lane(losses, 1);
      store<f32>(dy + i, d.dyScale * -margin(f32x4.extract_lane(sigmas, 0), first));
      store<f32>(dy + j, d.dyScale * -margin(f32x4.extract_lane(sigmas, 1), second));
    }
    return loss;
  }
  for (let i: usize = 0; i < bytes; i += 4) {
    const yHat = load<f32>(scores + i);
    const label = load<f32>(d.labels + (<usize>load<u32>(order + i) << 2));
    loss += lossValue(SQUARED, yHat, label);
    store<f32>(dy + i, d.dyScale * lossGradient(SQUARED, yHat, label));
  }
  return loss;
}

/** σ(x) = 1 / (1 + exp(-x)): the probability that belongs to a score. */
export function probability(x: f64): f64 {
  const m = f64x2.splat(-x);
  return f64x2.extract_lane(sigma2(m, complement2(m)), 0);
}

/** Whether `floats` (a multiple of 4) numbers are finite: x - x is 0 for those only. */
export function allFinite(x: usize, floats: usize): bool {
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
  let tp = i64x2.splat(0), fp = tp, fn = tp;
  const order = d.order + (<usize>d.first << 2), scores = d.yHat;
  for (let i: usize = 0, bytes = <usize>d.count << 2; i < bytes; i += 8) {
    // The last of an odd number of rows stands in both lanes, and counts in the first.
    const j = min(i + 4, bytes - 4);
    const counts = i64x2.replace_lane(i64x2.splat(-1), 1, i < j ? -1 : 0);
    const p = pair(load<f32>(scores + i), load<f32>(scores + j));
    const y = pair(
      load<f32>(d.labels + (<usize>load<u32>(order + i) << 2)),
      load<f32>(d.labels + (<usize>load<u32>(order + j) << 2)),
    );
    // A NaN must reach the sums: pmin and pmax keep that of their first operand.
    const e = f64x2.sub(f64x2.pmax(f64x2.pmin(p, f64x2.splat(high)), f64x2.splat(low)), y);
    const squares = v128.and(f64x2.mul(e, e), counts), sizes = v128.and(f64x2.abs(e), counts);
    const positive = f64x2.gt(y, f64x2.splat(middle));
    const above = v128.and(f64x2.gt(p, f64x2.splat(threshold)), counts);
    const m = v128.xor(p, v128.andnot(f64x2.splat(-0.0), positive));
    const losses = v128.and(logistic2(m, complement2(m)), counts);
    squared = squared + f64x2.extract_lane(squares, 0) + f64x2.extract_lane(squares, 1);
    absolute = absolute + f64x2.extract_lane(sizes, 0) + f64x2.extract_lane(sizes, 1);
    logloss = logloss + f64x2.extract_lane(losses, 0) + f64x2.extract_lane(losses, 1);
    tp = i64x2.sub(tp, v128.and(positive, above));
    fp = i64x2.sub(fp, v128.andnot(above, positive));
    fn = i64x2.sub(fn, v128.and(v128.andnot(positive, above), counts));
  }
  store<f64>(out, load<f64>(out) + squared);
  store<f64>(out, load<f64>(out, 8) + absolute, 8);
  store<f64>(out, load<f64>(out, 16) + logloss, 16);
  store<f64>(out, load<f64>(out, 24) + total(tp), 24);
  store<f64>(out, load<f64>(out, 32) + total(fp), 32);
  store<f64>(out, load<f64>(out, 40) + total(fn), 40);
}
