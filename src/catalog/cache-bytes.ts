import type { Manifest, Precision } from './manifest.ts';

/** Models with quantised weights compute in float32. */
const bytesPerNumber: Record<Precision, number> = { fp32: 4, fp16: 2, int8: 4, int4: 4 };

/** Bytes of keys and values for one position of one slot: `own` in the decoder, `cross` from the encoder. */
export function cacheBytesPerToken(model: Pick<Manifest, 'cache' | 'cross' | 'precision'>): {
  own: number;
  cross: number;
} {
  const bytes = (heads: number, headSize: number) => 2 * heads * headSize * bytesPerNumber[model.precision];
  return {
    own: model.cache.reduce((sum, { kvHeads, headSize }) => sum + bytes(kvHeads, headSize), 0),
    cross: model.cross.reduce((sum, { heads, headSize }) => sum + bytes(heads, headSize), 0),
  };
}
