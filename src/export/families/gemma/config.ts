import type { ConfigReader } from '../../../catalog/config-reader.ts';
import { type AttentionKind, attentionKinds, type Rope, readRope } from './rope-config.ts';

/** What Gemma 3 and Gemma 3n have in common. */
export interface GemmaConfig {
  vocabSize: number;
  hiddenSize: number;
  layers: GemmaLayer[];
  numHeads: number;
  kvHeads: number;
  headSize: number;
  /** What attention scores are multiplied with. */
  attentionScale: number;
  rope: Readonly<Record<AttentionKind, Rope>>;
  epsilon: number;
  /** logits = cap · tanh(logits / cap); null: as they are. */
  logitCap: number | null;
  /** The output head is the embedding table. */
  isTied: boolean;
  contextLength: number;
}

export interface GemmaLayer {
  attention: AttentionKind;
  /** How many keys a token sees, itself among them; null: all before it. */
  window: number | null;
  /** Width of the feed-forward layer. */
  intermediateSize: number;
}

/** What Hugging Face's config class of a family has where config.json says nothing. */
export interface GemmaDefaults {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  kvHeads: number;
  contextLength: number;
  window: number;
  /** Every how many layers one attends to all tokens. */
  fullEvery: number;
  logitCap: number | null;
}

/**
 * Reads the fields that both families have, by the names and defaults of Hugging Face's `Gemma3TextConfig` and
 * `Gemma3nTextConfig`. A field that changes the computation is honoured or refused, never ignored.
 */
export function readGemmaConfig(
  text: ConfigReader,
  outer: ConfigReader,
  defaults: GemmaDefaults,
): Omit<GemmaConfig, 'attentionScale'> {
  refuseUnsupported(text, outer);
  const numHeads = text.positiveInteger('num_attention_heads', 8);
  const kvHeads = text.positiveInteger('num_key_value_heads', defaults.kvHeads);
  if (numHeads % kvHeads !== 0) throw text.refuse('num_key_value_heads', `a divisor of ${numHeads} heads`);
  const headSize = text.positiveInteger('head_dim', 256);
  // ONNX Runtime's GroupQueryAttention takes no other head sizes.
  if (headSize % 8 !== 0) throw text.refuse('head_dim', 'a multiple of 8');
  const hasCap = text.has('final_logit_softcapping');
  return {
    vocabSize: text.positiveInteger('vocab_size', defaults.vocabSize),
    hiddenSize: text.positiveInteger('hidden_size', defaults.hiddenSize),
    layers: readLayers(text, defaults),
    numHeads,
    kvHeads,
    headSize,
    rope: readRope(text),
    epsilon: text.positiveNumber('rms_norm_eps', 1e-6),
    logitCap: hasCap ? text.positiveNumber('final_logit_softcapping') : defaults.logitCap,
    isTied: (outer.has('tie_word_embeddings') ? outer : text).boolean('tie_word_embeddings', true),
    contextLength: text.positiveInteger('max_position_embeddings', defaults.contextLength),
  };
}

function refuseUnsupported(text: ConfigReader, outer: ConfigReader): void {
  text.oneOf('hidden_activation', ['gelu_pytorch_tanh'], 'gelu_pytorch_tanh');
  if (text.boolean('attention_bias', false)) throw text.refuse('attention_bias', 'false');
  if (text.boolean('use_bidirectional_attention', false)) {
    throw text.refuse(
      'use_bidirectional_attention',
      'false: a generator cannot see what it has yet to write',
    );
  }
  // Hugging Face's code reads this field and then computes without it.
  if (text.has('attn_logit_softcapping')) throw text.refuse('attn_logit_softcapping', 'null');
  for (const reader of new Set([text, outer])) {
    if (reader.has('quantization_config')) {
      throw reader.refuse('quantization_config', 'none: export the checkpoint it was made from');
    }
  }
}

function readLayers(text: ConfigReader, defaults: GemmaDefaults): GemmaLayer[] {
  const count = text.positiveInteger('num_hidden_layers', defaults.layers);
  const kinds = readKinds(text, count, defaults.fullEvery);
  const window = kinds.includes('sliding_attention')
    ? text.positiveInteger('sliding_window', defaults.window)
    : null;
  const widths = perLayer(text, 'intermediate_size', count) ?? [];
  return kinds.map((attention, index) => ({
    attention,
    window: attention === 'sliding_attention' ? window : null,
    intermediateSize: readWidth(text, widths, index, defaults.intermediateSize),
  }));
}

function readKinds(text: ConfigReader, count: number, fullEvery: number): AttentionKind[] {
  const listed = perLayer(text, 'layer_types', count);
  if (listed === null) {
    const pattern = text.positiveInteger('sliding_window_pattern', fullEvery);
    return Array.from({ length: count }, (_, index) =>
      (index + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention',
    );
  }
  return listed.map((kind) => {
    const known = attentionKinds.find((each) => each === kind);
    if (!known) throw text.refuse('layer_types', `only ${attentionKinds.join(' and ')}`);
    return known;
  });
}

function readWidth(text: ConfigReader, widths: unknown[], index: number, fallback: number): number {
  if (widths.length === 0) return text.positiveInteger('intermediate_size', fallback);
  const width = widths[index];
  if (!Number.isSafeInteger(width) || (width as number) < 1) {
    throw text.refuse('intermediate_size', 'positive integers');
  }
  return width as number;
}

/** A field that lists a value for each layer; null where it is missing or no list. */
export function perLayer(text: ConfigReader, field: string, count: number): unknown[] | null {
  const listed = text.list(field);
  if (listed !== null && listed.length !== count)
    throw text.refuse(field, `a value for each of ${count} layers`);
  return listed;
}
