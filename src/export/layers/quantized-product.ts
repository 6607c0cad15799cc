import { altupDomain } from '../altup/domain.ts';
import { int } from '../onnx/attributes.ts';
import type { GraphBuilder } from '../onnx/graph-builder.ts';
import type { QuantizedMatrix } from '../quantize/quantized-matrix.ts';

/** x [..., columns] · Wᵀ for a quantised W [rows, columns]; the codes in the graph have `blockDims`. */
export function quantizedProduct(
  graph: GraphBuilder,
  name: string,
  x: string,
  matrix: Omit<QuantizedMatrix, 'weight'>,
  output: string,
): string {
  const { codes, scales, zeros, bits, shape } = matrix;
  return graph.add('QuantizedMatMul', name, [x, codes, scales, zeros], {
    domain: altupDomain,
    attributes: { N: int(shape[0]), K: int(shape[1]), bits: int(bits) },
    outputs: [output],
  });
}
