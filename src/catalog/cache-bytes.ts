import type { Manifest } from './manifest.ts';

type Cached = Pick<Manifest, 'cache' | 'cross' | 'precision'>;

/** Whether keys and values have 16 bits. The encoder-decoders' quantised exports have float32 caches. */
export const hasHalfCache = ({ precision, cross }: Omit<Cached, 'cache'>): boolean =>
  precision === 'fp16' || precision === 'bf16' || (precision !== 'fp32' && cross.length === 0);

const bytesPerNumber = (model: Cached) => (hasHalfCache(model) ? 2 : 4);

/** An int8 cache has rows of whole vectors, and a float32 scale for each. */
const int8RowBytes = (headSize: number) => 16 * Math.ceil(headSize / 16) + 4;

/** Bytes of one position in a layer's cache. */
export interface CacheLayer {
  /** Maximum number of keys that a query reads; null: all. */
  window: number | null;
  bytesPerToken: number;
}

/** The decoder's layers with a cache of their own. @param isInt8 the cache holds int8 instead of the export's type */
export function cacheLayers(model: Cached, isInt8 = false): CacheLayer[] {
  return model.cache.map(({ kvHeads, headSize, slidingWindow }) => ({
    window: slidingWindow,
    bytesPerToken: 2 * kvHeads * (isInt8 ? int8RowBytes(headSize) : headSize * bytesPerNumber(model)),
  }));
}

/**
 * Bytes of keys and values for one position of one slot: `own` in the decoder, `cross` from the encoder.
 * @param isInt8 the decoder's cache holds int8 instead of the export's type
 */
export function cacheBytesPerToken(
  model: Cached,
  isInt8 = false,
): {
  own: number;
  cross: number;
} {
  const bytes = 2 * bytesPerNumber(model);
  return {
    own: cacheLayers(model, isInt8).reduce((sum, { bytesPerToken }) => sum + bytesPerToken, 0),
    cross: model.cross.reduce((sum, { heads, headSize }) => sum + bytes * heads * headSize, 0),
  };
}
