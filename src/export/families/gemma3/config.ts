import type { ConfigReader } from '../../../catalog/config-reader.ts';
import { type GemmaConfig, readGemmaConfig } from '../gemma/config.ts';

/** Hugging Face's `Gemma3TextConfig`, fields and defaults. */
export function readGemma3Config(text: ConfigReader, outer: ConfigReader): GemmaConfig {
  const common = readGemmaConfig(text, outer, {
    vocabSize: 262_208,
    hiddenSize: 2304,
    intermediateSize: 9216,
    layers: 26,
    kvHeads: 4,
    contextLength: 131_072,
    window: 4096,
    fullEvery: 6,
    logitCap: null,
  });
  return {
    ...common,
    attentionScale: text.number('query_pre_attn_scalar', [1e-6, 1e6], { missing: 256 }) ** -0.5,
  };
}
