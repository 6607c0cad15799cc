import { callersInt, int } from '../onnx/attributes.ts';
import { microsoftDomain } from '../onnx/opset.ts';
import { blockSize } from '../quantize/quantize-block.ts';
import { type AltUpOperator, inEverySet } from './domain.ts';

const inputs = ['codes', 'ids', 'scales', 'zero_points'];

/**
 * QuantizedGather, computed by GatherBlockQuantized: codes uint8 [N, K · bits / 8], ids int64 of any shape, scales
 * float32 [N, K / 32], zero_points uint8 [N, ⌈K / 32 · bits / 8⌉] → the rows `ids` [..., K] in float32.
 */
export const quantizedGather: AltUpOperator = {
  name: 'QuantizedGather',
  inputs,
  outputs: ['rows'],
  attributes: ['bits'],
  doc: 'Rows of a matrix of 4- or 8-bit codes in blocks of 32, as numbers.',
  bodies: inEverySet((body) => {
    body.add('GatherBlockQuantized', 'rows', inputs, {
      domain: microsoftDomain,
      attributes: {
        bits: callersInt('bits'),
        block_size: int(blockSize),
        gather_axis: int(0),
        quantize_axis: int(1),
      },
    });
  }),
};
