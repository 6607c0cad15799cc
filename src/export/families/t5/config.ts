import type { ConfigReader } from '../../../catalog/config-reader.ts';
import { type MoeConfig, readMoe } from './moe-config.ts';
import { readSequence, type SequenceConfig } from './sequence-config.ts';

interface AltUpConfig {
  numBlocks: number;
  selection: 'alternating' | 'same';
  recycled: boolean;
}

/** What stands between the two products of a feed-forward layer. */
type Activation = 'relu' | 'gelu_new' | 'silu';

export interface T5Config {
  vocabSize: number;
  dModel: number;
  numHeads: number;
  dKv: number;
  dFf: number;
  activation: Activation;
  /** The activated product gates a second one (T5 v1.1). */
  isGated: boolean;
  /** Every layer has position biases of its own (UMT5), not the first one's. */
  hasBiasByLayer: boolean;
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

export const t5Types = ['t5', 'mt5', 'umt5'] as const;
type T5Type = (typeof t5Types)[number];

/** What Hugging Face's config classes have where the file says nothing. */
const defaultFeedForward = { t5: 'relu', mt5: 'gated-gelu', umt5: 'gated-gelu' } as const;

/** Values of `feed_forward_proj`. */
const feedForwards: Readonly<Record<string, { activation: Activation; isGated: boolean }>> = {
  relu: { activation: 'relu', isGated: false },
  'gated-gelu': { activation: 'gelu_new', isGated: true },
  'gated-silu': { activation: 'silu', isGated: true },
  'gated-relu': { activation: 'relu', isGated: true },
};

/**
 * Reads a Hugging Face T5, mT5 or UMT5 config with our `altup` and `moe` objects. A field that changes the computation
 * is honoured or refused, never ignored. Missing fields have Hugging Face's defaults.
 */
export function readT5Config(config: ConfigReader): T5Config {
  refuseUnsupported(config);
  const type = config.oneOf('model_type', t5Types, 't5');
  const dModel = config.positiveInteger('d_model');
  const encoderLayers = config.positiveInteger('num_layers');
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
    ...readFeedForward(config, type),
    hasBiasByLayer: type === 'umt5',
    encoderLayers,
    decoderLayers: config.positiveInteger('num_decoder_layers', encoderLayers),
    numBuckets,
    maxDistance,
    epsilon: config.positiveNumber('layer_norm_epsilon', 1e-6),
    headScale: isHeadScaled(config, type) ? dModel ** -0.5 : 1,
    contextLength: config.positiveInteger('n_positions', 512),
    altup: readAltUp(config.object('altup')),
    sequence: readSequence(config.object('altup')?.object('sequence') ?? null, encoderLayers),
    moe: readMoe(config.object('moe')),
  };
}

/** `dense_act_fn` and `is_gated_act` repeat `feed_forward_proj` in newer files. */
function readFeedForward(config: ConfigReader, type: T5Type): Pick<T5Config, 'activation' | 'isGated'> {
  const name = config.oneOf('feed_forward_proj', Object.keys(feedForwards), defaultFeedForward[type]);
  const { activation, isGated } = feedForwards[name]!;
  config.oneOf('dense_act_fn', [activation], activation);
  if (config.boolean('is_gated_act', isGated) !== isGated) {
    throw config.refuse('is_gated_act', `${isGated}, as in feed_forward_proj "${name}"`);
  }
  return { activation, isGated };
}

/**
 * T5 1.0 scales and v1.1 does not; older files tell them apart by `tie_word_embeddings` alone. mT5 never scales and UMT5
 * always does, whatever the file says (configuration and modeling files of transformers 5).
 */
function isHeadScaled(config: ConfigReader, type: T5Type): boolean {
  const isTied = config.boolean('tie_word_embeddings', true);
  const isScaled = config.boolean('scale_decoder_outputs', isTied);
  return type === 't5' ? isScaled : type === 'umt5';
}

function refuseUnsupported(config: ConfigReader): void {
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
