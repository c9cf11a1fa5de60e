import { Desc, RELU, SIGMOID, TANH } from "../abi";
import { expNegative4, sigmoid4, tanh4 } from "../math";
import { hmax, hsum, hsum4, madd, storeTransposed, zero } from "../simd";

/**
 * H <- act(α H + b) and the attention logits of one row. Lanes run along the pairs, so that no sum runs across lanes.
 *
 *   logit_p = β Σ_a h[a] H[a,p]
 *
 * α (d.preScale) and β (d.logitScale) carry the temperature.
 *
 * @param logits out    f32[Pp]        [P, Pp) is set to the lowest number: softmax makes it 0
 * @param H      in/out f32[A, Pp]     (e_p W)ᵀ on entry
 * @param P             pairs; Pp = P rounded up to 4
 */
export function attentionForward(logits: usize, H: usize, d: Desc, P: u32): void {
  const pBytes = (<usize>P + 3 & ~3) << 2, aBytes = <usize>d.A << 2;
  const activation = d.activation, attnB = d.attnB, attnH = d.attnH;
  const alpha = f32x4.splat(d.preScale), beta = f32x4.splat(d.logitScale);
  for (let p: usize = 0; p < pBytes; p += 16) {
    let sum = zero();
    let at = H + p;
    for (let a: usize = 0; a < aBytes; a += 4, at += pBytes) {
      let z = madd(alpha, v128.load(at), v128.load32_splat(attnB + a));
      if (activation == RELU) z = f32x4.max(z, zero());
      else if (activation == TANH) z = tanh4(z);
      else if (activation == SIGMOID) z = sigmoid4(z);
      v128.store(at, z);
      sum = madd(v128.load32_splat(attnH + a), z, sum);
    }
    v128.store(logits + p, f32x4.mul(beta, sum));
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

/** One vector of attentionBackward: do ⊙ act'(z) from o = act(z). */
@inline
function activationBackward(activation: u32, dO: v128, o: v128): v128 {
  if (activation == RELU) return v128.and(dO, f32x4.gt(o, zero()));
  if (activation == TANH) return f32x4.mul(dO, f32x4.sub(f32x4.splat(1), f32x4.mul(o, o)));
  if (activation == SIGMOID) return f32x4.mul(dO, f32x4.mul(o, f32x4.sub(f32x4.splat(1), o)));
  return dO;
}

/**
 * From dlogit to the gradient of (e_p W)ᵀ, in place of H, and its transpose; the gradients of b and h are summed.
 *
 *   do = β dlogit_p h,  dz = do ⊙ act'(z),  db += dz,  dh += β dlogit_p H[p],  H[p] <- α dz
 *
 * @param db     in/out f32[Ap]        accumulated (+=)
 * @param dh     in/out f32[Ap]        accumulated (+=)
 * @param H      in/out f32[Ap, Pp]    act(z) on entry
 * @param HT     out    f32[Pp, Ap]    the transpose of what H becomes
 * @param dlogit in     f32[Pp]        [P, Pp) is 0
 */
export function attentionBackward(db: usize, dh: usize, H: usize, HT: usize, dlogit: usize, d: Desc, P: u32): void {
  const pBytes = (<usize>P + 3 & ~3) << 2, aBytes = <usize>d.Ap << 2;
  const activation = d.activation;
  const alpha = f32x4.splat(d.preScale), beta = f32x4.splat(d.logitScale);
  for (let a: usize = 0; a < aBytes; a += 16, H += pBytes << 2) {
    const h0 = v128.load32_splat(d.attnH + a), h1 = v128.load32_splat(d.attnH + a, 4);
    const h2 = v128.load32_splat(d.attnH + a, 8), h3 = v128.load32_splat(d.attnH + a, 12);
    let b0 = zero(), b1 = zero(), b2 = zero(), b3 = zero();
    let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    let to = HT + a;
    for (let p: usize = 0; p < pBytes; p += 16, to += aBytes << 2) {
      const g = f32x4.mul(beta, v128.load(dlogit + p));
      const r0 = H + p, r1 = r0 + pBytes, r2 = r1 + pBytes, r3 = r2 + pBytes;
      const o0 = v128.load(r0), o1 = v128.load(r1), o2 = v128.load(r2), o3 = v128.load(r3);
      s0 = madd(g, o0, s0);
      s1 = madd(g, o1, s1);
      s2 = madd(g, o2, s2);
      s3 = madd(g, o3, s3);
      let z0 = activationBackward(activation, f32x4.mul(g, h0), o0), z1 = activationBackward(activation, f32x4.mul(g, h1), o1);
      let z2 = activationBackward(activation, f32x4.mul(g, h2), o2), z3 = activationBackward(activation, f32x4.mul(g, h3), o3);
      b0 = f32x4.add(b0, z0);
      b1 = f32x4.add(b1, z1);
      b2 = f32x4.add(b2, z2);
      b3 = f32x4.add(b3, z3);
      z0 = f32x4.mul(alpha, z0);
      z1 = f32x4.mul(alpha, z1);
      z2 = f32x4.mul(alpha, z2);
      z3 = f32x4.mul(alpha, z3);
      v128.store(r0, z0);
      v128.store(r1, z1);
      v128.store(r2, z2);
      v128.store(r3, z3);
      storeTransposed(to, aBytes, z0, z1, z2, z3);
    }
    v128.store(db + a, f32x4.add(v128.load(db + a), hsum4(b0, b1, b2, b3)));
    v128.store(dh + a, f32x4.add(v128.load(dh + a), hsum4(s0, s1, s2, s3)));
  }
}
