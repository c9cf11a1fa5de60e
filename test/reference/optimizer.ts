/**
 * The update rules of MODELS.md, each over an array of weights and its summed gradient, in place.
 * A rule knows nothing of rows: to update only the touched rows of a table, call it on views of those rows.
 */

/** θ −= lr g */
export function sgd(theta: Float64Array, g: Float64Array, lr: number): void {
  for (let i = 0; i < theta.length; i++) theta[i] -= lr * g[i];
}

/** m = μ m + g;  θ −= lr m.   m starts at 0. */
export function momentum(theta: Float64Array, g: Float64Array, m: Float64Array, lr: number, mu: number): void {
  for (let i = 0; i < theta.length; i++) {
    m[i] = mu * m[i] + g[i];
    theta[i] -= lr * m[i];
  }
}

/** What Adagrad's G starts at: the accumulator of TensorFlow 1, without which 0/√0 would be NaN. */
export const ADAGRAD_INITIAL = 1e-8;

/** G += g²;  θ −= lr g / √G   (Duchi et al. 2011; TensorFlow 1 has no ε).   G starts at 1e-8. */
export function adagrad(theta: Float64Array, g: Float64Array, G: Float64Array, lr: number): void {
  for (let i = 0; i < theta.length; i++) {
    G[i] += g[i] ** 2;
    theta[i] -= (lr * g[i]) / Math.sqrt(G[i]);
  }
}

export interface AdamSettings {
  lr: number;
  beta1: number;
  beta2: number;
  epsilon: number;
}

/**
 * m = β₁ m + (1−β₁) g;  v = β₂ v + (1−β₂) g²;  θ −= lr · m/(1−β₁^t) / (√(v/(1−β₂^t)) + ε)
 * (Kingma and Ba 2015, algorithm 1.)   m and v start at 0; t counts the steps of the whole training from 1.
 */
export function adam(
  theta: Float64Array,
  g: Float64Array,
  m: Float64Array,
  v: Float64Array,
  t: number,
  { lr, beta1, beta2, epsilon }: AdamSettings,
): void {
  for (let i = 0; i < theta.length; i++) {
    m[i] = beta1 * m[i] + (1 - beta1) * g[i];
    v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2;
    const mHat = m[i] / (1 - beta1 ** t);
    const vHat = v[i] / (1 - beta2 ** t);
    theta[i] -= (lr * mHat) / (Math.sqrt(vHat) + epsilon);
  }
}

export interface FtrlSettings {
  alpha: number;
  beta: number;
  lambda1: number;
  lambda2: number;
}

/** θ = 0 if |z| ≤ λ₁, else −(z − sgn(z) λ₁) / ((β + √n)/α + λ₂)   (McMahan et al. 2013, algorithm 1) */
export function ftrlWeight(z: number, n: number, { alpha, beta, lambda1, lambda2 }: FtrlSettings): number {
  if (Math.abs(z) <= lambda1) return 0;
  return -(z - Math.sign(z) * lambda1) / ((beta + Math.sqrt(n)) / alpha + lambda2);
}

/** z₀ = −θ₀ (β/α + λ₂) − sgn(θ₀) λ₁, the z whose weight at n = 0 is θ₀: nothing jumps before the first gradient. */
export function ftrlInitialZ(theta0: number, { alpha, beta, lambda1, lambda2 }: FtrlSettings): number {
  return -theta0 * (beta / alpha + lambda2) - Math.sign(theta0) * lambda1;
}

/** σ = (√(n + g²) − √n)/α;  z += g − σ θ;  n += g²;  θ = ftrlWeight(z, n)   (McMahan et al. 2013, algorithm 1) */
export function ftrl(
  theta: Float64Array,
  g: Float64Array,
  z: Float64Array,
  n: Float64Array,
  settings: FtrlSettings,
): void {
  for (let i = 0; i < theta.length; i++) {
    const sigma = (Math.sqrt(n[i] + g[i] ** 2) - Math.sqrt(n[i])) / settings.alpha;
    z[i] += g[i] - sigma * theta[i];
    n[i] += g[i] ** 2;
    theta[i] = ftrlWeight(z[i], n[i], settings);
  }
}
