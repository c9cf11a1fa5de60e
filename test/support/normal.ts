/** Lower tail of the standard normal distribution at z <= 0, to about 1e-14 of itself. */
export function lowerTail(z: number): number {
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  if (z > -2) {
    // 1/2 + density (z + z^3 / 3 + z^5 / (3 · 5) + …)
    let sum = 0;
    for (let term = z, k = 3; Math.abs(term) > 1e-18; term *= (z * z) / k, k += 2) sum += term;
    return 0.5 + density * sum;
  }
  // Continued fraction of Mills' ratio
  let f = 0;
  for (let k = 200; k > 0; k--) f = k / (-z + f);
  return density / (-z + f);
}
