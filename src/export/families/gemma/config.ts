import { type ConfigReader, unsaid } from '../../../catalog/config-reader.ts';
import { modelLimits } from '../../../catalog/model-limits.ts';
import { type AttentionKind, attentionKinds, type Rope, readOneRope, readRope } from './rope-config.ts';

/** Config fields that all Gemma families share. */
export interface GemmaConfig {
  vocabSize: number;
  hiddenSize: number;
  layers: GemmaLayer[];
  numHeads: number;
  kvHeads: number;
  headSize: number;
  /** Factor of the attention scores. */
  attentionScale: number;
  rope: Readonly<Record<AttentionKind, Rope>>;
  epsilon: number;
  /** logits = cap · tanh(logits / cap); null: no cap. */
  logitCap: number | null;
  /** The output head is the embedding table. */
  isTied: boolean;
  contextLength: number;
}

export interface GemmaLayer {
  attention: AttentionKind;
  /** Number of keys that a token sees, including its own; null: its own and all earlier keys. */
  window: number | null;
  /** Width of the feed-forward layer. */
  intermediateSize: number;
}

/** Defaults of a family's Hugging Face config class, for fields missing from config.json. */
export interface GemmaDefaults {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  numHeads: number;
  kvHeads: number;
  contextLength: number;
  /** Every `fullEvery`-th layer attends to all tokens, the others to a window; null: all layers attend to all tokens. */
  sliding: { window: number; fullEvery: number } | null;
  logitCap: number | null;
}

/**
 * Reads the fields that all families share, with Hugging Face's names and the defaults of a family's config class. It
 * honours or refuses every field that changes the computation, and ignores none.
 */
export function readGemmaConfig(
  text: ConfigReader,
  outer: ConfigReader,
  defaults: GemmaDefaults,
): Omit<GemmaConfig, 'attentionScale'> {
  refuseUnsupported(text, outer);
  const numHeads = text.integer('num_attention_heads', [1, modelLimits.heads], {
    missing: defaults.numHeads,
  });
  const kvHeads = text.integer('num_key_value_heads', [1, modelLimits.heads], { missing: defaults.kvHeads });
  if (numHeads % kvHeads !== 0) throw text.refuse('num_key_value_heads', `a divisor of ${numHeads} heads`);
  const headSize = text.integer('head_dim', [1, modelLimits.headSize], { missing: 256 });
  // ONNX Runtime's GroupQueryAttention accepts no other head sizes.
  if (headSize % 8 !== 0) throw text.refuse('head_dim', 'a multiple of 8');
  return {
    vocabSize: text.integer('vocab_size', [1, modelLimits.vocab], { missing: defaults.vocabSize }),
    hiddenSize: text.integer('hidden_size', [1, modelLimits.width], { missing: defaults.hiddenSize }),
    layers: readLayers(text, defaults),
    numHeads,
    kvHeads,
    headSize,
    rope: defaults.sliding === null ? readOneRope(text) : readRope(text),
    epsilon: text.number('rms_norm_eps', [1e-12, 1], { missing: 1e-6 }),
    // An explicit null means no cap, even if the class has a default.
    logitCap: text.number('final_logit_softcapping', [1e-3, 1e6], { missing: defaults.logitCap, null: null }),
    isTied: (outer.has('tie_word_embeddings') ? outer : text).boolean('tie_word_embeddings', {
      missing: true,
    }),
    contextLength: text.integer('max_position_embeddings', [1, modelLimits.positions], {
      missing: defaults.contextLength,
    }),
  };
}

function refuseUnsupported(text: ConfigReader, outer: ConfigReader): void {
  text.oneOf('hidden_activation', ['gelu_pytorch_tanh'], unsaid('gelu_pytorch_tanh'));
  if (text.boolean('attention_bias', unsaid(false))) throw text.refuse('attention_bias', 'false');
  if (text.boolean('use_bidirectional_attention', unsaid(false))) {
    throw text.refuse(
      'use_bidirectional_attention',
      'false: a generator cannot attend to tokens that it has not written yet',
    );
  }
  // Hugging Face's code reads this field but does not use it.
  if (text.has('attn_logit_softcapping')) throw text.refuse('attn_logit_softcapping', 'null');
  for (const reader of new Set([text, outer])) {
    if (reader.has('quantization_config')) {
      throw reader.refuse('quantization_config', 'none: export the checkpoint it was made from');
    }
  }
}

function readLayers(text: ConfigReader, defaults: GemmaDefaults): GemmaLayer[] {
  const count = text.integer('num_hidden_layers', [1, modelLimits.layers], { missing: defaults.layers });
  const { sliding } = defaults;
  const kinds: readonly AttentionKind[] =
    sliding === null ? Array(count).fill('full_attention') : readKinds(text, count, sliding.fullEvery);
  const window =
    sliding !== null && kinds.includes('sliding_attention')
      ? text.integer('sliding_window', [1, modelLimits.positions], { missing: sliding.window })
      : null;
  const widths = readWidths(text, count, defaults.intermediateSize);
  return kinds.map((attention, index) => ({
    attention,
    window: attention === 'sliding_attention' ? window : null,
    intermediateSize: widths[index]!,
  }));
}

function readKinds(text: ConfigReader, count: number, fullEvery: number): readonly AttentionKind[] {
  const listed = text.oneOfEach('layer_types', count, attentionKinds, unsaid(null));
  if (listed !== null) return listed;
  const pattern = text.integer('sliding_window_pattern', [1, modelLimits.layers], { missing: fullEvery });
  return Array.from({ length: count }, (_, index) =>
    (index + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention',
  );
}

/** One width per layer, from a list or from one number for all layers. */
function readWidths(text: ConfigReader, count: number, fallback: number): readonly number[] {
  const range = [1, modelLimits.width] as const;
  return text.isList('intermediate_size')
    ? text.integers('intermediate_size', count, range)
    : Array(count).fill(text.integer('intermediate_size', range, { missing: fallback }));
}
