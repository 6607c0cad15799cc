import { expect, it } from 'vitest';
import { modelVariant } from '../../src/observability/model-variant.ts';
import { fakeManifest } from '../support/fake-server.ts';

it.each([
  [null, 'dense'],
  [{ numBlocks: 2, selection: 'alternating', recycled: false, coefficients: 'shared' } as const, 'altup-k2'],
  [
    { numBlocks: 4, selection: 'alternating', recycled: true, coefficients: 'shared' } as const,
    'recycled-k4',
  ],
  [{ numBlocks: 2, selection: 'same', recycled: false, coefficients: 'shared' } as const, 'sameup-k2'],
  [{ numBlocks: 4, selection: 'same', recycled: false, coefficients: 'perToken' } as const, 'altup-k4'],
])('%j is %s', (altup, variant) => {
  expect(modelVariant({ ...fakeManifest(), altup })).toBe(variant);
});

it.each([
  [{ sequence: { method: 'altup', stride: 4 } as const }, 'sequence-altup'],
  [{ sequence: { method: 'skip', stride: 4 } as const }, 'stride-skip'],
  [{ sequence: { method: 'average', stride: 4 } as const }, 'average-pool'],
  [{ moe: { numExperts: 8, topK: 1 } }, 'moe'],
  [{ ...fakeManifest(), moe: { numExperts: 8, topK: 1 } }, 'altup-k2-moe'],
])('a variant of %j', (kinds, variant) => {
  expect(modelVariant({ ...fakeManifest(), altup: null, ...kinds })).toBe(variant);
});
