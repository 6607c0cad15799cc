import type { EmbeddingTable } from '../../layers/embedding.ts';
import { linear } from '../../layers/linear.ts';
import { inFloat32, toCompute } from '../../layers/model-graph.ts';
import { weightOf } from '../../onnx/weight.ts';
import { type T5Graph, tableWidth } from './graph-parts.ts';

export const headName = 'lm_head.weight';

/** Hidden rows [rows, width] → `output` float32 [rows, vocabulary]. */
export function outputHead(t5: T5Graph, table: EmbeddingTable, hidden: string, output: string): void {
  const { config, graph } = t5;
  const scale = config.headScale;
  if (!t5.hasOwnHead) {
    table.head('/lm_head', toCompute(t5, hidden), output, scale);
    return;
  }
  const factor = () => graph.weight(weightOf('/lm_head/scale', [], Float32Array.of(scale)));
  const x = toCompute(t5, scale === 1 ? hidden : graph.add('Mul', '/lm_head/scaled', [hidden, factor()]));
  const shape = [config.vocabSize, tableWidth(config)] as const;
  inFloat32(t5, output, (name) => linear(t5, '/lm_head', x, headName, shape, name));
}
