import { expect, it } from 'vitest';
import { CachedTokens } from '../../../src/http/generation/choice-deltas.ts';

it('counts each prompt once, with the choice that had to compute the most of it', () => {
  const cached = new CachedTokens(2);
  cached.take(1, 30);
  expect(cached.total).toBe(30);
  cached.take(0, 16);
  cached.take(2, 20);
  cached.take(3, 40);
  expect(cached.total).toBe(36);
});
