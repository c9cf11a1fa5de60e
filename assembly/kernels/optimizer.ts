import { ADAGRAD, ADAM, Desc, FTRL, MOMENTUM } from "../abi";
import { hsum, madd, zero } from "../simd";

/**
 * One step of the optimizer over `floats` neighbouring parameters; g = scale (gradient + l2 θ).
 *
 *   sgd       θ -= lr g
 *   momentum  m = μ m + g;  θ -= lr m
 *   adagrad   G += g²;  θ -= lr g / √G                                   Duchi et al. 2011; G starts at 1e-8, no ε
 *   adam      m, v with β₁, β₂, bias-corrected; θ -= lr m̂ / (√v̂ + ε)     Kingma & Ba 2015
 *   ftrl      σ = (√(n + g²) - √n)/α;  z += g - σ θ;  n += g²;
 *             θ = 0 if |z| <= λ₁ else -(z - sgn(z) λ₁) / ((β + √n)/α + λ₂)   McMahan et al. 2013, algorithm 1
 *
 * Padding lanes (θ = 0, gradient = 0) stay 0 under every rule.
 *
 * @param theta    in/out f32[floats]; its states lie d.state and d.state2 bytes further on
 * @param gradient in     f32[floats]; 0 pointer: all zero
 * @param scale    of global norm clipping, 1 without
 */
export function optimizerStep(d: Desc, theta: usize, gradient: usize, floats: u32, l2: f32, scale: f32): void {
  assert((theta & 15) == 0 && (gradient & 15) == 0 && (floats & 3) == 0);
  const s1 = d.state, s2 = d.state2;
  const end = theta + (<usize>floats << 2);
  const lr = f32x4.splat(d.lr), decay = f32x4.splat(l2), factor = f32x4.splat(scale);
  const kind = d.optimizer;
  if (kind == ADAGRAD) {
    for (; theta < end; theta += 16, gradient += 16) {
      const p = v128.load(theta);
      const g = f32x4.mul(factor, madd(decay, p, v128.load(gradient)));
      const G = madd(g, g, v128.load(theta + s1));
      v128.store(theta + s1, G);
      v128.store(theta, f32x4.sub(p, f32x4.div(f32x4.mul(lr, g), f32x4.sqrt(G))));
    }
  } else if (kind == ADAM) {
    const b1 = f32x4.splat(d.beta1), b2 = f32x4.splat(d.beta2);
    const a1 = f32x4.splat(1 - d.beta1), a2 = f32x4.splat(1 - d.beta2);
    const c1 = f32x4.splat(d.correction1), c2 = f32x4.splat(d.correction2), epsilon = f32x4.splat(d.epsilon);
    for (; theta < end; theta += 16) {
      const p = v128.load(theta);
      let g = zero();
      if (gradient) {
        g = f32x4.mul(factor, madd(decay, p, v128.load(gradient)));
        gradient += 16;
      }
      const m = madd(b1, v128.load(theta + s1), f32x4.mul(a1, g));
      const v = madd(b2, v128.load(theta + s2), f32x4.mul(a2, f32x4.mul(g, g)));
      v128.store(theta + s1, m);
      v128.store(theta + s2, v);
      const root = f32x4.add(f32x4.sqrt(f32x4.mul(v, c2)), epsilon);
      v128.store(theta, f32x4.sub(p, f32x4.div(f32x4.mul(lr, f32x4.mul(m, c1)), root)));
    }
  } else if (kind == FTRL) {
    const inverse = f32x4.splat(1 / d.lr), beta = f32x4.splat(d.ftrlBeta), l1 = f32x4.splat(d.ftrlL1);
    const ridge = f32x4.splat(d.ftrlL2);
    for (; theta < end; theta += 16, gradient += 16) {
      const p = v128.load(theta);
      const g = f32x4.mul(factor, madd(decay, p, v128.load(gradient)));
      const n = v128.load(theta + s2), next = madd(g, g, n);
      const root = f32x4.sqrt(next);
      const sigma = f32x4.mul(inverse, f32x4.sub(root, f32x4.sqrt(n)));
      const z = f32x4.sub(f32x4.add(v128.load(theta + s1), g), f32x4.mul(sigma, p));
      v128.store(theta + s1, z);
      v128.store(theta + s2, next);
      // |z| - λ₁ with the sign of -z, and 0 where it is not positive.
      const excess = f32x4.max(f32x4.sub(f32x4.abs(z), l1), zero());
      const signed = v128.xor(excess, v128.and(v128.not(z), f32x4.splat(-0.0)));
      const divisor = madd(inverse, f32x4.add(beta, root), ridge);
      const closed = f32x4.div(signed, divisor);
      v128.store(theta, v128.and(closed, f32x4.gt(excess, zero())));
    }
  } else if (kind == MOMENTUM) {
    const mu = f32x4.splat(d.momentum);
    for (; theta < end; theta += 16, gradient += 16) {
      const p = v128.load(theta);
      const g = f32x4.mul(factor, madd(decay, p, v128.load(gradient)));
      const m = madd(mu, v128.load(theta + s1), g);
      v128.store(theta + s1, m);
      v128.store(theta, f32x4.sub(p, f32x4.mul(lr, m)));
    }
  } else {
    for (; theta < end; theta += 16, gradient += 16) {
      const p = v128.load(theta);
      const g = f32x4.mul(factor, madd(decay, p, v128.load(gradient)));
      v128.store(theta, f32x4.sub(p, f32x4.mul(lr, g)));
    }
  }
}

/**
 * State before the first step. Adagrad: G = 1e-8. FTRL: z = -θ (β/α + λ₂) - sgn(θ) λ₁, the z whose closed form is the
 * initial weight, so that nothing jumps before the first gradient. Others: 0.
 *
 * @param theta in f32[floats]; the states behind it are overwritten
 */
export function optimizerInit(d: Desc, theta: usize, floats: usize): void {
  const end = theta + (floats << 2);
  const kind = d.optimizer;
  if (kind == ADAGRAD) {
    for (; theta < end; theta += 16) v128.store(theta + d.state, f32x4.splat(1e-8));
  } else if (kind == FTRL) {
    const slope = f32x4.splat(d.ftrlBeta / d.lr + d.ftrlL2), l1 = f32x4.splat(d.ftrlL1);
    for (; theta < end; theta += 16) {
      const p = v128.load(theta);
      const z = madd(f32x4.abs(p), slope, v128.and(l1, f32x4.ne(p, zero())));
      v128.store(theta + d.state, v128.xor(z, v128.and(v128.not(p), f32x4.splat(-0.0))));
      v128.store(theta + d.state2, zero());
    }
  } else if (kind == ADAM) {
    for (; theta < end; theta += 16) {
      v128.store(theta + d.state, zero());
      v128.store(theta + d.state2, zero());
    }
  } else if (kind == MOMENTUM) {
    for (; theta < end; theta += 16) v128.store(theta + d.state, zero());
  }
}

/** Σ (gradient + l2 θ)² over `floats` parameters, in f64, in order; for clipping by the global norm. */
export function squaredNorm(theta: usize, gradient: usize, floats: u32, l2: f32): f64 {
  let sum: f64 = 0;
  for (let i: usize = 0, end = <usize>floats << 2; i < end; i += 4) {
    const g = <f64>(load<f32>(gradient + i) + l2 * load<f32>(theta + i));
    sum += g * g;
  }
  return sum;
}

/**
 * Whether a step was one of finite numbers: θ after it, and the square of scale · gradient, which the states of some rules
 * are sums of. x · 0 is 0 for finite x only.
 *
 * @param gradient f32[floats]; 0 pointer: all zero
 */
export function stepIsFinite(theta: usize, gradient: usize, floats: u32, scale: f32): bool {
  const factor = f32x4.splat(scale);
  let sum = zero();
  for (const end = theta + (<usize>floats << 2); theta < end; theta += 16) {
    let x = v128.load(theta);
    if (gradient) {
      const g = f32x4.mul(factor, v128.load(gradient));
      x = madd(g, g, x);
      gradient += 16;
    }
    sum = madd(x, zero(), sum);
  }
  return hsum(sum) == 0;
}
