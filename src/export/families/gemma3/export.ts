import type { ConfigReader } from '../../../catalog/config-reader.ts';
import { embeddingTable } from '../../layers/embedding.ts';
import { attention } from '../gemma/attention.ts';
import { type GemmaConfig, readGemmaConfig } from '../gemma/config.ts';
import { decoderInputs } from '../gemma/decoder-inputs.ts';
import { gemmaFamily } from '../gemma/export.ts';
import { feedForward, type GemmaGraph, pickRows, rmsNorm, scaleBy } from '../gemma/graph-parts.ts';
import { outputHead } from '../gemma/output-head.ts';

const style = { normalizesHeads: true, normalizesValues: false, shared: null };

/**
 * decoder.onnx of Gemma 3 (arXiv 2503.19786; Gemma3ForCausalLM in Hugging Face Transformers): a chunk of tokens per row
 * that follows the row's cache → logits of the requested tokens, and the extended cache. Every sub-layer has a norm
 * before and after it.
 */
function buildDecoder(gemma: GemmaGraph): void {
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
    // Only logits need the last feed-forward layer, so it runs only for tokens with requested logits.
    if (index === last) x = pickRows(graph, `${path}/rows`, x, d, inputs.logitPositions);
    const fed = feedForward(gemma, `${path}/mlp`, norm('pre_feedforward_layernorm', x), index);
    x = graph.add('Add', `${path}/fed`, [x, norm('post_feedforward_layernorm', fed)]);
  }
  outputHead(gemma, table, x);
}

export const gemma3 = gemmaFamily({
  name: 'gemma3',
  // In transformers, `_text` marks the text model without other towers.
  modelTypes: ['gemma3', 'gemma3_text'],
  hasCentredNorms: true,
  readConfig: readGemma3Config,
  buildDecoder,
  altup: () => null,
  isUnused: () => false,
  sharesCache: () => false,
  media: { tokens: { image: [262_144, 255_999, 256_000], audio: [] }, offsets: null },
});

/** Reads the config with the fields and defaults of Hugging Face's `Gemma3TextConfig`. */
export function readGemma3Config(text: ConfigReader, outer: ConfigReader): GemmaConfig {
  const common = readGemmaConfig(text, outer, {
    vocabSize: 262_208,
    hiddenSize: 2304,
    intermediateSize: 9216,
    layers: 26,
    numHeads: 8,
    kvHeads: 4,
    contextLength: 131_072,
    sliding: { window: 4096, fullEvery: 6 },
    logitCap: null,
  });
  return {
    ...common,
    attentionScale: text.number('query_pre_attn_scalar', [1e-6, 1e6], { missing: 256 }) ** -0.5,
  };
}
