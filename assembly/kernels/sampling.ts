import { Desc } from "../abi";
import { log64 } from "../math";
import { hash32, key } from "../random";
import { hsum, madd, zero } from "../simd";
import { PAIR_BYTES } from "./field";
import { padPairs } from "./products";

const STREAM_SAMPLING: u32 = 18;

/**
 * Draws d.sampleCount of the P pairs without replacement, with probability ∝ ‖F_p‖²: the largest of
 * log ‖F_p‖² + Gumbel noise (Gumbel top-k; Kool et al. 2019).   Hong et al. 2019, sampling
 * One draw a batch. Without sampling, or where the noise is switched off (prediction), the same or the largest ‖F_p‖.
 *
 * @param d in fieldPairs; out active, activeCount. Pairs stay in their order.
 */
export function samplePairs(d: Desc): void {
  const S = d.sampleCount;
  if (!S || S >= d.P) {
    d.active = d.pairs;
    d.activeCount = d.P;
    return;
  }
  const laneBytes = <usize>d.Kp << 2;
  const noise = key(d.seed, STREAM_SAMPLING, d.step, 0);
  for (let p: u32 = 0; p < d.P; p++) {
    let F = d.fieldPairs + <usize>load<u32>(d.pairs + <usize>p * PAIR_BYTES, 8);
    let sum = zero();
    for (const end = F + laneBytes; F < end; F += 16) sum = madd(v128.load(F), v128.load(F), sum);
    // 2^-32 (u + ½) is in (0, 1), so both logarithms are finite; the smallest f64 stands in for a norm of 0.
    let rank = log64(max<f64>(<f64>hsum(sum), f64.MIN_NORMAL_VALUE));
    if (d.sampleNoise) rank -= log64(-log64((<f64>hash32(noise + p) + 0.5) * 2.3283064365386963e-10));
    store<f64>(d.sampleKeys + (<usize>p << 3), rank);
  }

  const threshold = nthLargest(d.sampleKeys, d.sampleKeys + (<usize>d.P << 3), d.P, S);
  let to = d.sampled;
  let ties = S;
  for (let p: u32 = 0; p < d.P; p++) ties -= u32(load<f64>(d.sampleKeys + (<usize>p << 3)) > threshold);
  for (let p: u32 = 0; p < d.P; p++) {
    const rank = load<f64>(d.sampleKeys + (<usize>p << 3));
    if (rank < threshold || (rank == threshold && !ties)) continue;
    ties -= u32(rank == threshold);
    memory.copy(to, d.pairs + <usize>p * PAIR_BYTES, PAIR_BYTES);
    to += PAIR_BYTES;
  }
  padPairs(d.sampled, S, d);
  d.active = d.sampled;
  d.activeCount = S;
}

/** The S-th largest of n numbers: quickselect on a copy. */
function nthLargest(keys: usize, copy: usize, n: u32, S: u32): f64 {
  memory.copy(copy, keys, <usize>n << 3);
  let low: i32 = 0, high: i32 = n - 1;
  const target: i32 = S - 1;
  while (low < high) {
    const pivot = load<f64>(copy + (<usize>((low + high) >> 1) << 3));
    let i = low, j = high;
    while (i <= j) {
      while (load<f64>(copy + (<usize>i << 3)) > pivot) i++;
      while (load<f64>(copy + (<usize>j << 3)) < pivot) j--;
      if (i <= j) {
        const a = copy + (<usize>i << 3), b = copy + (<usize>j << 3);
        const t = load<f64>(a);
        store<f64>(a, load<f64>(b));
        store<f64>(b, t);
        i++;
        j--;
      }
    }
    if (target <= j) high = j;
    else if (target >= i) low = i;
    else break;
  }
  return load<f64>(copy + (<usize>target << 3));
}
