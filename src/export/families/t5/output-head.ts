import { float, int } from '../../onnx/attributes.ts';
import { embeddingTable, linear, type T5Graph, tableWidth } from './graph-parts.ts';

/** Hidden rows [rows, width] → `output` [rows, vocabulary]. */
export function outputHead(t5: T5Graph, x: string, output: string): void {
  const { graph, weights, config } = t5;
  if (!config.isTied) {
    linear(t5, '/lm_head', x, 'lm_head.weight', [config.vocabSize, tableWidth(config)], output);
    return;
  }
  // Gemm reads the table as it lies for the lookup, so a tied model holds it once.
  graph.add('Gemm', '/lm_head', [x, embeddingTable(weights)], {
    attributes: { alpha: float(config.headScale), transB: int(1) },
    outputs: [output],
  });
}
