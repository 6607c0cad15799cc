import { expect, it } from 'vitest';
import { cacheBytesPerToken, cacheLayers } from '../../src/catalog/cache-bytes.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';

const cache: Manifest['cache'] = [
  { kvHeads: 2, headSize: 64, slidingWindow: 512 },
  { kvHeads: 1, headSize: 256, slidingWindow: null },
];

it.each([
  ['fp32', 4, 4],
  ['fp16', 2, 2],
  ['int8', 2, 4],
  ['int4', 2, 4],
] as const)('%s: %i bytes a number, %i in an encoder-decoder', (precision, decoderOnly, encoderDecoder) => {
  const alone = { cache, cross: [], precision };
  expect(cacheBytesPerToken(alone)).toEqual({ own: decoderOnly * 2 * (128 + 256), cross: 0 });
  expect(cacheLayers(alone)).toEqual([
    { window: 512, bytesPerToken: decoderOnly * 2 * 128 },
    { window: null, bytesPerToken: decoderOnly * 2 * 256 },
  ]);
  const ofInt8 = [2 * 2 * (64 + 4), 2 * (256 + 4)];
  expect(cacheLayers(alone, true).map(({ bytesPerToken }) => bytesPerToken)).toEqual(ofInt8);
  expect(cacheBytesPerToken(alone, true)).toEqual({ own: ofInt8[0]! + ofInt8[1]!, cross: 0 });
  const both = { cache, cross: [{ heads: 4, headSize: 8 }], precision };
  expect(cacheBytesPerToken(both)).toEqual({
    own: encoderDecoder * 2 * (128 + 256),
    cross: encoderDecoder * 2 * 32,
  });
});
