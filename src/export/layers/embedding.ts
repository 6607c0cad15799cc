import { altupDomain } from '../altup/domain.ts';
import { float, int } from '../onnx/attributes.ts';
import type { GraphBuilder } from '../onnx/graph-builder.ts';
import { weightOf } from '../onnx/weight.ts';
import type { QuantizedBits } from '../quantize/quantize-block.ts';
import { blockDims, quantizedMatrix, tableDims } from '../quantize/quantized-matrix.ts';
import { computeType, inFloat32, type ModelGraph, toStream } from './model-graph.ts';
import { quantizedBits } from './quantized-bits.ts';
import { quantizedProduct } from './quantized-product.ts';

/** An embedding table in the graph. It can also serve as the output head. */
export interface EmbeddingTable {
  /** int64 `ids` of any shape → float32 [...ids, columns]. The value has the name of the node. */
  lookUp(name: string, ids: string): string;
  /** scale · x · tableᵀ: x [rows, columns] of the compute type → float32 [rows, table rows], named `output`. */
  head(name: string, x: string, output: string, scale?: number): string;
}

/** Adds the checkpoint's table [rows, columns] to the graph once, for both look-ups and the head. */
export function embeddingTable(
  context: ModelGraph,
  table: string,
  shape: readonly [number, number],
): EmbeddingTable {
  const bits = quantizedBits(context, shape[1], null);
  return bits === null ? plainTable(context, table, shape) : quantizedTable(context, table, shape, bits);
}

function plainTable(context: ModelGraph, table: string, shape: readonly [number, number]): EmbeddingTable {
  const { graph, weights, precision } = context;
  graph.weight(weights.asStored(table, shape, computeType(precision)));
  return {
    lookUp: (name, ids) =>
      toStream(context, graph.add('Gather', name, [table, ids], { attributes: { axis: int(0) } })),
    head: (name, x, output, scale = 1) => {
      // transB lets Gemm use the table in its look-up layout.
      const attributes = { alpha: float(scale), transB: int(1) };
      return inFloat32(context, output, (product) =>
        graph.add('Gemm', name, [x, table], { attributes, outputs: [product] }),
      );
    },
  };
}

function quantizedTable(
  { graph, weights }: ModelGraph,
  table: string,
  shape: readonly [number, number],
  bits: QuantizedBits,
): EmbeddingTable {
  const matrix = quantizedMatrix(table, shape, bits, weights.rows(table, shape), tableDims(shape, bits));
  graph.weight(matrix.weight);
  const { codes, scales, zeros } = matrix;
  return {
    lookUp: (name, ids) =>
      graph.add('QuantizedGather', name, [codes, ids, scales, zeros], {
        domain: altupDomain,
        attributes: { bits: int(bits) },
      }),
    head: (name, x, output, scale = 1) => {
      const dims = blockDims(shape, bits);
      const byBlock = graph.alias({ name: `${name}/blocks`, type: 'uint8', dims, of: codes });
      const scaledX = scaled(graph, name, x, scale);
      return quantizedProduct(graph, name, scaledX, { ...matrix, codes: byBlock }, output);
    },
  };
}

function scaled(graph: GraphBuilder, name: string, x: string, scale: number): string {
  if (scale === 1) return x;
  const factor = graph.weight(weightOf(`${name}/scale`, [], Float32Array.of(scale)));
  return graph.add('Mul', `${name}/scaled`, [x, factor]);
}
