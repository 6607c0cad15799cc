import { blockSize, type QuantizedBits } from '../quantize/quantize-block.ts';
import type { ModelGraph } from './model-graph.ts';

/**
 * Returns the bits per code of a matrix with rows of `columns` numbers, or null if it is not quantised. Rows must fill
 * their last block: the operators for products and for look-ups treat padding differently.
 * @param weight name of the linear layer's weight; null for an embedding table
 */
export function quantizedBits(
  { precision, keeps8Bits }: ModelGraph,
  columns: number,
  weight: string | null,
): QuantizedBits | null {
  if (columns % blockSize !== 0) return null;
  if (precision === 'int8') return 8;
  if (precision !== 'int4') return null;
  return weight !== null && keeps8Bits?.(weight) ? 8 : 4;
}
