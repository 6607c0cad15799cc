import type { Precision } from '../../catalog/manifest.ts';
import { blockSize, type QuantizedBits } from '../quantize/quantize-block.ts';

const bitsOf: Readonly<Record<Precision, QuantizedBits | null>> = {
  fp32: null,
  fp16: null,
  int8: 8,
  int4: 4,
};

/**
 * Bits per weight of a matrix with rows of `columns`; null: it is not quantised. Rows that do not fill their last
 * block would need padding, which the operators for products and for look-ups see differently.
 */
export function quantizedBits(precision: Precision, columns: number): QuantizedBits | null {
  return columns % blockSize === 0 ? bitsOf[precision] : null;
}
