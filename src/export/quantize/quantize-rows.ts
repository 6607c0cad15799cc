import { blockSize, type QuantizedBits, quantizeBlock } from './quantize-block.ts';

/** Whole rows [n, columns] of a matrix. */
export interface QuantizeJob {
  values: Float32Array<ArrayBuffer>;
  columns: number;
  bits: QuantizedBits;
}

export interface QuantizedRows {
  codes: Uint8Array<ArrayBuffer>;
  scales: Float32Array<ArrayBuffer>;
  zeros: Uint8Array<ArrayBuffer>;
}

/** Quantises rows block by block. */
export function quantizeRows({ values, columns, bits }: QuantizeJob): QuantizedRows {
  const rows = values.length / columns;
  const blocks = columns / blockSize;
  const codes = new Uint8Array(values.length);
  const scales = new Float32Array(rows * blocks);
  const zeros = new Uint8Array(rows * blocks);
  for (let block = 0; block < scales.length; block += 1) {
    const start = block * blockSize;
    const { scale, zero } = quantizeBlock(values, start, bits, codes, start);
    scales[block] = scale;
    zeros[block] = zero;
  }
  if (bits === 8) return { codes, scales, zeros };
  return { codes: packPairs(codes, columns), scales, zeros: packPairs(zeros, blocks) };
}

/** Packs two values below 16 into each byte, the first in the low half. Each row starts on a new byte. */
function packPairs(values: Uint8Array, width: number): Uint8Array<ArrayBuffer> {
  const packedWidth = Math.ceil(width / 2);
  const packed = new Uint8Array((values.length / width) * packedWidth);
  for (let row = 0, at = 0; row < values.length; row += width, at += packedWidth) {
    for (let n = 0; n < width; n += 1) packed[at + (n >> 1)]! |= values[row + n]! << (4 * (n & 1));
  }
  return packed;
}
