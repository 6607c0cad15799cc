import { expect, it } from 'vitest';
import { modelVariant } from '../../src/observability/model-variant.ts';
import { fakeManifest } from '../support/fake-server.ts';

it.each([
  [null, 'dense'],
  [{ numBlocks: 2, selection: 'alternating', recycled: false } as const, 'altup-k2'],
  [{ numBlocks: 4, selection: 'alternating', recycled: true } as const, 'recycled-k4'],
  [{ numBlocks: 2, selection: 'same', recycled: false } as const, 'sameup-k2'],
])('%j is %s', (altup, variant) => {
  expect(modelVariant({ ...fakeManifest(), altup })).toBe(variant);
});
