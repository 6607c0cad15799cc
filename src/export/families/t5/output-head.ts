import type { EmbeddingTable } from '../../layers/embedding.ts';
import { linear } from '../../layers/linear.ts';
import { inFloat32, toCompute } from '../../layers/model-graph.ts';
import { type T5Graph, tableWidth } from './graph-parts.ts';

/** Hidden rows [rows, width] → `output` float32 [rows, vocabulary]. */
export function outputHead(t5: T5Graph, table: EmbeddingTable, hidden: string, output: string): void {
  const { config } = t5;
  const x = toCompute(t5, hidden);
  if (config.isTied) {
    table.head('/lm_head', x, output, config.headScale);
    return;
  }
  const shape = [config.vocabSize, tableWidth(config)] as const;
  inFloat32(t5, output, (name) => linear(t5, '/lm_head', x, 'lm_head.weight', shape, name));
}
