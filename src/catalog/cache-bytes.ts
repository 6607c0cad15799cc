import type { Manifest, Precision } from './manifest.ts';

/** Models with quantised weights compute in float32. */
const bytesPerNumber: Record<Precision, number> = { fp32: 4, fp16: 2, int8: 4, int4: 4 };

/** Bytes of one position in a layer's cache. */
export interface CacheLayer {
  /** Maximum number of keys that a query reads; null: all. */
  window: number | null;
  bytesPerToken: number;
}

/** The decoder's layers with a cache of their own. */
export function cacheLayers({ cache, precision }: Pick<Manifest, 'cache' | 'precision'>): CacheLayer[] {
  return cache.map(({ kvHeads, headSize, slidingWindow }) => ({
    window: slidingWindow,
    bytesPerToken: 2 * kvHeads * headSize * bytesPerNumber[precision],
  }));
}

/** Bytes of keys and values for one position of one slot: `own` in the decoder, `cross` from the encoder. */
export function cacheBytesPerToken(model: Pick<Manifest, 'cache' | 'cross' | 'precision'>): {
  own: number;
  cross: number;
} {
  const bytes = 2 * bytesPerNumber[model.precision];
  return {
    own: cacheLayers(model).reduce((sum, { bytesPerToken }) => sum + bytesPerToken, 0),
    cross: model.cross.reduce((sum, { heads, headSize }) => sum + bytes * heads * headSize, 0),
  };
}
