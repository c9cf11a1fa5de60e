import { Desc } from "../abi";
import { expNegative4 } from "../math";
import { madd, zero } from "../simd";
import { PAIR_BYTES } from "./field";

/*
 * Four rows that share some of their slots, side by side: lanes run along the rows, so that no sum runs across lanes. A
 * slot is f32[Kp, 4]; one that the rows share has the same number in all four lanes.
 */

/**
 * @param out  out f32[Kp, 4]
 * @param slot in  f32[Kp]
 */
export function spreadSlot(out: usize, slot: usize, Kp: u32): void {
  for (const end = slot + (<usize>Kp << 2); slot < end; slot += 4, out += 16) v128.store(out, v128.load32_splat(slot));
}

/**
 * e_p = v_s ⊙ v_t and c_p = <e_p, F_p> of some pairs; c_p has the bits of productsForward.
 *
 * @param products out f32[Kp, count, 4]
 * @param scores   out f32[count, 4]
 * @param slots    in  f32[M, Kp, 4]
 * @param pairs    in  {s, t, p}[count] as for slots f32[M, Kp]
 */
export function productsOfFour(products: usize, scores: usize, d: Desc, slots: usize, pairs: usize, count: u32): void {
  const laneBytes = <usize>d.Kp << 2, rowBytes = <usize>count << 4;
  for (const end = products + rowBytes; products < end; products += 16, scores += 16, pairs += PAIR_BYTES) {
    let s = slots + (<usize>load<u32>(pairs) << 2), t = slots + (<usize>load<u32>(pairs, 4) << 2);
    let F = d.fieldPairs + <usize>load<u32>(pairs, 8), to = products;
    let c0 = zero(), c1 = zero(), c2 = zero(), c3 = zero();
    for (const last = F + laneBytes; F < last; F += 16, s += 64, t += 64) {
      const e0 = f32x4.mul(v128.load(s), v128.load(t)), e1 = f32x4.mul(v128.load(s, 16), v128.load(t, 16));
      const e2 = f32x4.mul(v128.load(s, 32), v128.load(t, 32)), e3 = f32x4.mul(v128.load(s, 48), v128.load(t, 48));
      c0 = f32x4.add(c0, f32x4.mul(e0, v128.load32_splat(F)));
      c1 = f32x4.add(c1, f32x4.mul(e1, v128.load32_splat(F, 4)));
      c2 = f32x4.add(c2, f32x4.mul(e2, v128.load32_splat(F, 8)));
      c3 = f32x4.add(c3, f32x4.mul(e3, v128.load32_splat(F, 12)));
      v128.store(to, e0);
      to += rowBytes;
      v128.store(to, e1);
      to += rowBytes;
      v128.store(to, e2);
      to += rowBytes;
      v128.store(to, e3);
      to += rowBytes;
    }
    v128.store(scores, f32x4.add(f32x4.add(c0, c2), f32x4.add(c1, c3)));
  }
}

/**
 * Softmax over the pairs of each row and over those that the rows share, of which the sum of exp(logit - top) is known.
 *
 * @param x     in/out f32[P, 4]   logits on entry
 * @param share out    f32[4]      what the shared pairs have of the whole
 * @param top   the largest of their logits, or the lowest number
 * @param mass  their sum, or 0
 */
export function softmaxOfFour(x: usize, share: usize, P: u32, top: f32, mass: f32): void {
  const end = x + (<usize>P << 4);
  const shared = f32x4.splat(top);
  let most = shared;
  for (let p = x; p < end; p += 16) most = f32x4.max(most, v128.load(p));
  const others = f32x4.mul(f32x4.splat(mass), expNegative4(f32x4.sub(shared, most)));
  let sum = others;
  for (let p = x; p < end; p += 16) {
    const e = expNegative4(f32x4.sub(v128.load(p), most));
    v128.store(p, e);
    sum = f32x4.add(sum, e);
  }
  const scale = f32x4.div(f32x4.splat(1), sum);
  for (let p = x; p < end; p += 16) v128.store(p, f32x4.mul(v128.load(p), scale));
  v128.store(share, f32x4.mul(others, scale));
}

/**
 * The part of a pair in the input of INN's network: T_p e_p ⊙ F_p.
 *
 * @param out   out f32[Kp, 4]
 * @param T     in  f32[4]
 * @param slots in  f32[M, Kp, 4]
 * @param pair  in  {s, t, p}
 */
export function concatOfFour(out: usize, T: usize, d: Desc, slots: usize, pair: usize): void {
  const weight = v128.load(T);
  let s = slots + (<usize>load<u32>(pair) << 2), t = slots + (<usize>load<u32>(pair, 4) << 2);
  let F = d.fieldPairs + <usize>load<u32>(pair, 8);
  for (const last = F + (<usize>d.Kp << 2); F < last; F += 4, s += 16, t += 16, out += 16) {
    const f = f32x4.mul(f32x4.mul(v128.load(s), v128.load(t)), v128.load32_splat(F));
    v128.store(out, f32x4.mul(weight, f));
  }
}

/** Σ_p T_p c_p of each row: [a b c d] for rows a, b, c, d. */
export function sumOfFour(out: usize, T: usize, c: usize, P: u32): void {
  let sum = v128.load(out);
  for (const end = T + (<usize>P << 4); T < end; T += 16, c += 16) sum = madd(v128.load(T), v128.load(c), sum);
  v128.store(out, sum);
}
