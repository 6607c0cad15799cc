import type { ConfigReader } from '../../../catalog/config-reader.ts';
import { type MoeConfig, readMoe } from './moe-config.ts';
import { readSequence, type SequenceConfig } from './sequence-config.ts';

interface AltUpConfig {
  numBlocks: number;
  selection: 'alternating' | 'same';
  recycled: boolean;
}

export interface T5Config {
  vocabSize: number;
  dModel: number;
  numHeads: number;
  dKv: number;
  dFf: number;
  encoderLayers: number;
  decoderLayers: number;
  /** Relative positions: how many buckets, and from which distance on all share the last one. */
  numBuckets: number;
  maxDistance: number;
  epsilon: number;
  /** What the head's input is multiplied with. */
  headScale: number;
  /** Positions the model is good for, encoder and decoder each. */
  contextLength: number;
  /** null: the representation is as wide as a layer. */
  altup: AltUpConfig | null;
  /** null: every encoder layer computes every token. */
  sequence: SequenceConfig | null;
  /** null: no sparse experts. */
  moe: MoeConfig | null;
}

/**
 * Reads a Hugging Face T5 config (v1.1: gated GELU) with our `altup` and `moe` objects. A field that changes the computation is
 * honoured or refused, never ignored. Missing fields have Hugging Face's defaults.
 */
export function readT5Config(config: ConfigReader): T5Config {
  refuseUnsupported(config);
  const dModel = config.positiveInteger('d_model');
  const encoderLayers = config.positiveInteger('num_layers');
  // T5 1.0 scales and v1.1 does not; older files tell them apart by tie_word_embeddings alone (T5Config, transformers 5).
  const isTied = config.boolean('tie_word_embeddings', true);
  const hasScale = config.boolean('scale_decoder_outputs', isTied);
  const dKv = config.positiveInteger('d_kv');
  // ONNX Runtime's GroupQueryAttention takes no other head sizes.
  if (dKv % 8 !== 0) throw config.refuse('d_kv', 'a multiple of 8');
  const numBuckets = config.positiveInteger('relative_attention_num_buckets', 32);
  const maxDistance = config.positiveInteger('relative_attention_max_distance', 128);
  if (numBuckets % 4 !== 0) throw config.refuse('relative_attention_num_buckets', 'a multiple of 4');
  // Half of the decoder's buckets hold one distance each; the logarithmic rest needs distances beyond them.
  if (maxDistance <= numBuckets / 2) {
    throw config.refuse('relative_attention_max_distance', `more than half of the ${numBuckets} buckets`);
  }
  return {
    vocabSize: config.positiveInteger('vocab_size'),
    dModel,
    numHeads: config.positiveInteger('num_heads'),
    dKv,
    dFf: config.positiveInteger('d_ff'),
    encoderLayers,
    decoderLayers: config.positiveInteger('num_decoder_layers', encoderLayers),
    numBuckets,
    maxDistance,
    epsilon: config.positiveNumber('layer_norm_epsilon', 1e-6),
    headScale: hasScale ? dModel ** -0.5 : 1,
    contextLength: config.positiveInteger('n_positions', 512),
    altup: readAltUp(config.object('altup')),
    sequence: readSequence(config.object('altup')?.object('sequence') ?? null, encoderLayers),
    moe: readMoe(config.object('moe')),
  };
}

function refuseUnsupported(config: ConfigReader): void {
  config.oneOf('feed_forward_proj', ['gated-gelu']);
  config.oneOf('dense_act_fn', ['gelu_new'], 'gelu_new');
  if (!config.boolean('is_gated_act', true)) throw config.refuse('is_gated_act', 'true, as in T5 v1.1');
  if (!config.boolean('is_encoder_decoder', true)) {
    throw config.refuse('is_encoder_decoder', 'true: an encoder alone generates nothing');
  }
  if (config.has('quantization_config')) {
    throw config.refuse('quantization_config', 'none: it is not supported by this version');
  }
}

function readAltUp(altup: ConfigReader | null): AltUpConfig | null {
  if (!altup) return null;
  altup.allowOnly(['num_blocks', 'selection', 'recycled', 'sequence']);
  if (altup.has('sequence') && !altup.has('num_blocks')) {
    for (const field of ['selection', 'recycled']) {
      if (altup.has(field)) throw altup.refuse(field, 'none: without num_blocks there are no blocks');
    }
    return null;
  }
  return {
    numBlocks: altup.positiveInteger('num_blocks'),
    selection: altup.oneOf('selection', ['alternating', 'same'], 'alternating'),
    recycled: altup.boolean('recycled', false),
  };
}
