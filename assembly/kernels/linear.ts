import { Desc } from "../abi";
import { assertIds } from "../bounds";

/**
 * linear(x) = w0 + Σ_s w[j_s] x_s, summed in slot order. w lies behind the Kp lanes of v in each record.
 *
 * @param features in u32[slots], each <= n
 * @param values   in f32[slots], or 0 when every value is 1
 */
export function linearForward(d: Desc, features: usize, values: usize, slots: u32): f32 {
  assertIds(d, features, slots);
  const rowBytes = <usize>d.rowFloats << 2;
  const w = d.table + (<usize>d.Kp << 2);
  let sum = load<f32>(d.bias);
  for (let i: usize = 0, end = <usize>slots << 2; i < end; i += 4) {
    const wj = load<f32>(w + <usize>load<u32>(features + i) * rowBytes);
    sum += values ? wj * load<f32>(values + i) : wj;
  }
  return sum;
}
