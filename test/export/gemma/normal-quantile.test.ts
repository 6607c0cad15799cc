import { expect, it } from 'vitest';
import { normalQuantile } from '../../../src/export/families/gemma3n/config.ts';

// Quantiles of the normal distribution, from printed tables.
it.each([
  [0.5, 0],
  [0.75, 0.6744897501960817],
  [0.9, 1.2815515655446004],
  [0.95, 1.6448536269514722],
  [0.975, 1.959963984540054],
  [0.999, 3.090232306167813],
  [0.05, -1.6448536269514722],
  [1e-4, -3.719016485455709],
])('Φ⁻¹(%d) is %d', (p, x) => {
  expect(normalQuantile(p)).toBeCloseTo(x, 12);
});
