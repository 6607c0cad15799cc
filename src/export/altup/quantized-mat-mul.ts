import { callersInt, int } from '../onnx/attributes.ts';
import { microsoftDomain } from '../onnx/opset.ts';
import { blockSize } from '../quantize/quantize-block.ts';
import { type AltUpOperator, inEverySet } from './domain.ts';

const inputs = ['x', 'codes', 'scales', 'zero_points'];

/**
 * QuantizedMatMul, computed by MatMulNBits: x float32 [..., K], codes uint8 [N, K / 32, 4 · bits], scales float32
 * [N, K / 32], zero_points uint8 [N, ⌈K / 32 · bits / 8⌉] → x · Wᵀ [..., N].
 */
export const quantizedMatMul: AltUpOperator = {
  name: 'QuantizedMatMul',
  inputs,
  outputs: ['product'],
  attributes: ['N', 'K', 'bits'],
  doc: 'x times the transpose of a matrix of 4- or 8-bit codes, with x rounded to 8 bits in blocks of 32.',
  bodies: inEverySet((body) => {
    body.add('MatMulNBits', 'product', inputs, {
      domain: microsoftDomain,
      attributes: {
        N: callersInt('N'),
        K: callersInt('K'),
        bits: callersInt('bits'),
        block_size: int(blockSize),
        // Rounds x to 8 bits, block by block. Without this, int8 has no kernel and each run unpacks the whole matrix.
        accuracy_level: int(4),
      },
    });
  }),
};
