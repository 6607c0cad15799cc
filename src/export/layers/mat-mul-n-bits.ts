import { int } from '../onnx/attributes.ts';
import type { GraphBuilder } from '../onnx/graph-builder.ts';
import { microsoftDomain } from '../onnx/opset.ts';
import { blockSize } from '../quantize/quantize-block.ts';
import type { QuantizedMatrix } from '../quantize/quantized-matrix.ts';

/** x [..., columns] · Wᵀ for a quantised W [rows, columns]; the codes in the graph have `blockDims`. */
export function matMulNBits(
  graph: GraphBuilder,
  name: string,
  x: string,
  matrix: Omit<QuantizedMatrix, 'weight'>,
  output: string,
): string {
  const { codes, scales, zeros, bits, shape } = matrix;
  return graph.add('MatMulNBits', name, [x, codes, scales, zeros], {
    domain: microsoftDomain,
    attributes: {
      N: int(shape[0]),
      K: int(shape[1]),
      bits: int(bits),
      block_size: int(blockSize),
      // Rounds x to 8 bits, block by block. Without this, int8 has no kernel and each run unpacks the whole matrix.
      accuracy_level: int(4),
    },
    outputs: [output],
  });
}
