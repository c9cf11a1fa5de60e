import { Desc, RELU, SIGMOID, TANH } from "../abi";
import { expNegative4, sigmoid4, tanh4 } from "../math";
import { hmax, hsum, madd, zero } from "../simd";

/**
 * H <- act(α H + b) and the attention logits of one row.
 *
 *   logit_p = β Σ_a h[a] H[p,a]
 *
 * α (d.preScale) and β (d.logitScale) carry the temperature. Padding lanes of h are 0, so theirs do not count.
 *
 * @param logits out    f32[Pp]        [P, Pp) is set to the lowest number: softmax makes it 0
 * @param H      in/out f32[Pp, Ap]    e_p W on entry
 * @param P             pairs; Pp = P rounded up to 4
 */
export function attentionForward(logits: usize, H: usize, d: Desc, P: u32): void {
  const aBytes = <usize>d.Ap << 2;
  const activation = d.activation;
  const alpha = f32x4.splat(d.preScale);
  for (let p: u32 = 0; p < P; p++, H += aBytes) {
    let sum = zero();
    for (let a: usize = 0; a < aBytes; a += 16) {
      let z = madd(alpha, v128.load(H + a), v128.load(d.attnB + a));
      if (activation == RELU) z = f32x4.max(z, zero());
      else if (activation == TANH) z = tanh4(z);
      else if (activation == SIGMOID) z = sigmoid4(z);
      v128.store(H + a, z);
      sum = madd(v128.load(d.attnH + a), z, sum);
    }
    store<f32>(logits + (<usize>p << 2), d.logitScale * hsum(sum));
  }
  for (let p = P; p & 3; p++) store<f32>(logits + (<usize>p << 2), -f32.MAX_VALUE);
}

/**
 * x <- softmax(x) over P values; subtracts the maximum.
 *
 * @param x in/out f32[Pp]    [P, Pp) holds the lowest number on entry, 0 on return
 */
export function softmax(x: usize, P: u32): void {
  const end = x + (((<usize>P + 3) & ~3) << 2);
  let top = v128.load(x);
  for (let p = x + 16; p < end; p += 16) top = f32x4.max(top, v128.load(p));
  const shift = f32x4.splat(hmax(top));
  let sum = zero();
  for (let p = x; p < end; p += 16) {
    const e = expNegative4(f32x4.sub(v128.load(p), shift));
    v128.store(p, e);
    sum = f32x4.add(sum, e);
  }
  const scale = f32x4.splat(<f32>1 / hsum(sum));
  for (let p = x; p < end; p += 16) v128.store(p, f32x4.mul(v128.load(p), scale));
}

/**
 * dlogit_p = T_p (dT_p - Σ_q T_q dT_q), in place of dT.
 *
 * @param dT in/out f32[Pp]    [P, Pp) is 0
 * @param T  in     f32[Pp]    [P, Pp) is 0
 */
export function softmaxBackward(dT: usize, T: usize, P: u32): void {
  const bytes = ((<usize>P + 3) & ~3) << 2;
  let dot = zero();
  for (let p: usize = 0; p < bytes; p += 16) dot = madd(v128.load(T + p), v128.load(dT + p), dot);
  const mean = f32x4.splat(hsum(dot));
  for (let p: usize = 0; p < bytes; p += 16) {
    v128.store(dT + p, f32x4.mul(v128.load(T + p), f32x4.sub(v128.load(dT + p), mean)));
  }
}

/**
 * From dlogit to the gradient of e_p W, in place of H; the gradients of b and h are summed.
 *
 *   do = β dlogit_p h,  dz = do ⊙ act'(z),  db += dz,  dh += β dlogit_p H[p],  H[p] <- α dz
 *
 * @param db     in/out f32[Ap]        accumulated (+=)
 * @param dh     in/out f32[Ap]        accumulated (+=)
 * @param H      in/out f32[Pp, Ap]    act(z) on entry; rows [P, Pp) are set to 0
 * @param dlogit in     f32[P]
 */
export function attentionBackward(db: usize, dh: usize, H: usize, dlogit: usize, d: Desc, P: u32): void {
  const aBytes = <usize>d.Ap << 2;
  const activation = d.activation;
  const alpha = f32x4.splat(d.preScale), one = f32x4.splat(1);
  for (let a: usize = 0; a < aBytes; a += 16) {
    const h = v128.load(d.attnH + a);
    let sumB = v128.load(db + a), sumH = v128.load(dh + a);
    let row = H + a;
    for (let p: usize = 0, end = <usize>P << 2; p < end; p += 4, row += aBytes) {
      const g = f32x4.splat(d.logitScale * load<f32>(dlogit + p));
      const o = v128.load(row);
      sumH = madd(g, o, sumH);
      let dz = f32x4.mul(g, h);
      if (activation == RELU) dz = v128.and(dz, f32x4.gt(o, zero()));
      else if (activation == TANH) dz = f32x4.mul(dz, f32x4.sub(one, f32x4.mul(o, o)));
      else if (activation == SIGMOID) dz = f32x4.mul(dz, f32x4.mul(o, f32x4.sub(one, o)));
      sumB = f32x4.add(sumB, dz);
      v128.store(row, f32x4.mul(alpha, dz));
    }
    for (let p = P; p & 3; p++, row += aBytes) v128.store(row, zero());
    v128.store(db + a, sumB);
    v128.store(dh + a, sumH);
  }
}
