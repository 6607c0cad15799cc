/** Φ⁻¹(p): the number that a standard normal variable stays below with probability p, 0 < p < 1. */
export function normalQuantile(p: number): number {
  let x = 0;
  // Newton's method from the middle: Φ is concave above it, so the steps never leave the side of p.
  for (let step = 0; step < 100; step += 1) {
    const next = x - (normalCdf(x) - p) / density(x);
    if (Math.abs(next - x) < 1e-15 * Math.max(1, Math.abs(x))) return next;
    x = next;
  }
  return x;
}

const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** Φ(x) = ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …) (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.2.11). */
function normalCdf(x: number): number {
  let sum = x;
  for (let term = x, n = 3; Math.abs(term) > 1e-17 * Math.abs(sum); n += 2) {
    term *= (x * x) / n;
    sum += term;
  }
  return 0.5 + density(x) * sum;
}
