import type { ConfigReader } from '../../../catalog/config-reader.ts';
import { embeddingTable } from '../../layers/embedding.ts';
import { attention } from '../gemma/attention.ts';
import { type GemmaConfig, readGemmaConfig } from '../gemma/config.ts';
import { decoderInputs } from '../gemma/decoder-inputs.ts';
import { gemmaFamily } from '../gemma/export.ts';
import { feedForward, type GemmaGraph, pickRows, rmsNorm, scaleBy } from '../gemma/graph-parts.ts';
import { outputHead } from '../gemma/output-head.ts';

const style = { normalizesHeads: false, normalizesValues: false, shared: null };

/**
 * decoder.onnx of the first Gemma (arXiv 2403.08295; GemmaForCausalLM in Hugging Face Transformers): a chunk of tokens
 * per row that follows the row's cache → logits of the requested tokens, and the extended cache. Every sub-layer has a
 * norm before it, and every layer attends to all earlier tokens.
 */
function buildDecoder(gemma: GemmaGraph): void {
  const { graph, config, prefix } = gemma;
  const { hiddenSize: d, vocabSize } = config;
  const inputs = decoderInputs(gemma);
  const table = embeddingTable(gemma, `${prefix}embed_tokens.weight`, [vocabSize, d]);
  let x = scaleBy(graph, '/embed_tokens/scaled', table.lookUp('/embed_tokens', inputs.ids), Math.sqrt(d));
  const last = config.layers.length - 1;
  for (let index = 0; index <= last; index += 1) {
    const path = `/layers.${index}`;
    const norm = (name: string, value: string) =>
      rmsNorm(gemma, `${path}/${name}`, value, `layers.${index}.${name}.weight`, d);
    const attended = attention(gemma, index, norm('input_layernorm', x), inputs.attention, style);
    x = graph.add('Add', `${path}/attended`, [x, attended]);
    // Only logits need the last feed-forward layer, so it runs only for tokens with requested logits.
    if (index === last) x = pickRows(graph, `${path}/rows`, x, d, inputs.logitPositions);
    const fed = feedForward(gemma, `${path}/mlp`, norm('post_attention_layernorm', x), index);
    x = graph.add('Add', `${path}/fed`, [x, fed]);
  }
  outputHead(gemma, table, x);
}

export const gemma1 = gemmaFamily({
  name: 'gemma',
  modelTypes: ['gemma'],
  hasCentredNorms: true,
  readConfig: readGemma1Config,
  buildDecoder,
  altup: () => null,
  isUnused: () => false,
  sharesCache: () => false,
  media: { tokens: { image: [], audio: [] }, offsets: null },
});

/** Reads the config with the fields and defaults of Hugging Face's `GemmaConfig`. */
export function readGemma1Config(text: ConfigReader, outer: ConfigReader): GemmaConfig {
  // The first checkpoints say `gelu`, but were trained with the approximation.
  text.oneOf('hidden_act', ['gelu_pytorch_tanh', 'gelu'], { missing: 'gelu_pytorch_tanh' });
  const common = readGemmaConfig(text, outer, {
    vocabSize: 256_000,
    hiddenSize: 3072,
    intermediateSize: 24_576,
    layers: 28,
    numHeads: 16,
    kvHeads: 16,
    contextLength: 8192,
    sliding: null,
    logitCap: null,
  });
  return { ...common, attentionScale: common.headSize ** -0.5 };
}
