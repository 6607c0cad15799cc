import { blockDims, quantizedMatrix } from '../quantize/quantized-matrix.ts';
import { computeType, type ModelGraph } from './model-graph.ts';
import { quantizedBits } from './quantized-bits.ts';
import { quantizedProduct } from './quantized-product.ts';

/**
 * x · Wᵀ for a linear layer's weight [out, in]: MatMul, or QuantizedMatMul in int8 and int4. x and the result have the
 * compute type. The result is named `output`, by default like the node.
 */
export function linear(
  context: ModelGraph,
  name: string,
  x: string,
  weight: string,
  shape: readonly [number, number],
  output = name,
): string {
  const { graph, weights, precision } = context;
  const bits = quantizedBits(context, shape[1], weight);
  if (bits === null) {
    const matrix = graph.weight(weights.transposed(weight, shape, computeType(precision)));
    return graph.add('MatMul', name, [x, matrix], { outputs: [output] });
  }
  const pieces = weights.rows(weight, shape);
  const matrix = quantizedMatrix(weight, shape, bits, pieces, blockDims(shape, bits));
  graph.weight(matrix.weight);
  return quantizedProduct(graph, name, x, matrix, output);
}
