import { Desc } from "../abi";
import { madd, zero } from "../simd";

/*
 * FM's gradients summed by feature without a sort, where one thread computes and a record is short: every row adds what it
 * gives to each of its features. Rows are in order, so the sums have the bits of pairwiseRecordGradient.
 */

/**
 * Adds one row to its features:
 *
 *   G[j] += [ x dz S | x dy, x² dy, 0 0 ]
 *
 * Feature j has row slotOf[j] of featureGrad, from 1 on in the order of first touch; unknown features share row 0, where
 * nobody looks.
 *
 * @param d        in/out slotOf u32[n + 1]: 0 = not touched yet; touched; touchedCount; featureGrad (+=)
 * @param S        in     f32[Kp] after pairwiseBackward
 * @param features in     u32[slots]
 * @param values   in     f32[slots], or 0 when every value is 1
 */
export function scatterRow(d: Desc, S: usize, dy: f32, features: usize, values: usize, slots: u32): void {
  const slotOf = d.slotOf, sums = d.featureGrad, n = d.n;
  const laneBytes = <usize>d.Kp << 2, rowBytes = <usize>d.rowFloats << 2;
  const dy2 = f32x4.replace_lane(f32x4.replace_lane(zero(), 0, dy), 1, dy);
  let count = d.touchedCount;
  let last = d.touched + (<usize>count << 2);
  for (let i: usize = 0, end = <usize>slots << 2; i < end; i += 4) {
    const j = load<u32>(features + i);
    const place = slotOf + (<usize>j << 2);
    let at = load<u32>(place);
    // A feature is written behind the list each time, and stays there if it is new.
    const isNew = <u32>(at == 0) & <u32>(j != n);
    store<u32>(last, j);
    last += <usize>isNew << 2;
    count += isNew;
    at = isNew ? count : at;
    store<u32>(place, at);
    const G = sums + <usize>at * rowBytes;
    const value: f32 = values ? load<f32>(values + i) : 1;
    const x = f32x4.splat(value);
    for (let k: usize = 0; k < laneBytes; k += 16) {
      v128.store(G + k, madd(x, v128.load(S + k), v128.load(G + k)));
    }
    const xdy = f32x4.mul(x, dy2);
    v128.store(G + laneBytes, madd(f32x4.replace_lane(x, 0, 1), xdy, v128.load(G + laneBytes)));
  }
  d.touchedCount = count;
}

/**
 * Gradient of touched feature t: dv = Σ x dz S - v Σ x² dy, dw = Σ x dy.
 *
 * @param g      out f32[rowFloats] overwritten
 * @param record in  f32[rowFloats] [ v | w 0 0 0 ]
 */
export function scatteredGradient(g: usize, record: usize, d: Desc, t: u32): void {
  const laneBytes = <usize>d.Kp << 2;
  const G = d.featureGrad + <usize>(t + 1) * (<usize>d.rowFloats << 2);
  const w = v128.load(G + laneBytes);
  const q = v128.shuffle<f32>(w, w, 1, 1, 1, 1);
  for (let k: usize = 0; k < laneBytes; k += 16) {
    v128.store(g + k, f32x4.sub(v128.load(G + k), f32x4.mul(q, v128.load(record + k))));
  }
  v128.store(g + laneBytes, v128.shuffle<f32>(w, zero(), 0, 4, 4, 4));
}
