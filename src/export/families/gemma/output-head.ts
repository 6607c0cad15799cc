import type { EmbeddingTable } from '../../layers/embedding.ts';
import { linear } from '../../layers/linear.ts';
import { inFloat32, toCompute } from '../../layers/model-graph.ts';
import { type GemmaGraph, number, rmsNorm, scaleBy } from './graph-parts.ts';
import { headName } from './multimodal.ts';

/** Rows [rows, d] of the last layer → `logits` float32 [rows, vocabulary], capped if the model has a cap. */
export function outputHead(gemma: GemmaGraph, table: EmbeddingTable, x: string): void {
  const { graph, config } = gemma;
  const { vocabSize, hiddenSize, logitCap, isTied } = config;
  graph.output('logits', 'float32', ['rows', vocabSize]);
  const normed = toCompute(gemma, rmsNorm(gemma, '/norm', x, 'norm.weight', hiddenSize));
  const project = (output: string, scale: number) => {
    if (isTied) return table.head('/lm_head', normed, output, scale);
    const name = headName(gemma.weights);
    const product = scale === 1 ? output : '/lm_head/product';
    inFloat32(gemma, product, (made) =>
      linear(gemma, '/lm_head', normed, name, [vocabSize, hiddenSize], made),
    );
    return scale === 1 ? output : scaleBy(graph, output, product, scale);
  };
  if (logitCap === null) {
    project('logits', 1);
    return;
  }
  const squashed = graph.add('Tanh', '/softcap/tanh', [project('/lm_head/scaled_logits', 1 / logitCap)]);
  const cap = number(graph, '/softcap/cap', logitCap);
  graph.add('Mul', '/softcap', [squashed, cap], { outputs: ['logits'] });
}
