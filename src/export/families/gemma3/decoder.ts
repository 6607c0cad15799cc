import { embeddingTable } from '../../layers/embedding.ts';
import { attention } from '../gemma/attention.ts';
import { decoderInputs } from '../gemma/decoder-inputs.ts';
import { feedForward, type GemmaGraph, pickRows, rmsNorm, scaleBy } from '../gemma/graph-parts.ts';
import { outputHead } from '../gemma/output-head.ts';

const style = { normalizesValues: false, sharedLayer: null };

/**
 * decoder.onnx of Gemma 3 (arXiv 2503.19786; Gemma3ForCausalLM in Hugging Face Transformers): a chunk of tokens per row,
 * after what the row's cache holds → logits of the tokens asked for, and the grown cache. Every sub-layer has a norm
 * before it and one behind it.
 */
export function buildDecoder(gemma: GemmaGraph): void {
  const { graph, config, prefix } = gemma;
  const { hiddenSize: d, vocabSize } = config;
  const inputs = decoderInputs(gemma);
  const table = embeddingTable(gemma, `${prefix}embed_tokens.weight`, [vocabSize, d]);
  let x = scaleBy(graph, '/embed_tokens/scaled', table.lookUp('/embed_tokens', inputs.ids), Math.sqrt(d));
  const last = config.layers.length - 1;
  for (let index = 0; index <= last; index += 1) {
    const [path, layer] = [`/layers.${index}`, `layers.${index}`];
    const norm = (name: string, value: string) =>
      rmsNorm(gemma, `${path}/${name}`, value, `${layer}.${name}.weight`, d);
    const attended = attention(gemma, index, norm('input_layernorm', x), inputs.attention, style);
    x = graph.add('Add', `${path}/attended`, [x, norm('post_attention_layernorm', attended)]);
    // The last feed-forward layer serves logits alone: it runs for the tokens that want them.
    if (index === last) x = pickRows(graph, `${path}/rows`, x, d, inputs.logitPositions);
    const fed = feedForward(gemma, `${path}/mlp`, norm('pre_feedforward_layernorm', x), index);
    x = graph.add('Add', `${path}/fed`, [x, norm('post_feedforward_layernorm', fed)]);
  }
  outputHead(gemma, table, x);
}
