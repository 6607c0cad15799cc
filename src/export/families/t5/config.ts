import { type ConfigReader, unsaid } from '../../../catalog/config-reader.ts';
import { modelLimits } from '../../../catalog/model-limits.ts';

interface AltUpConfig {
  numBlocks: number;
  selection: 'alternating' | 'same';
  recycled: boolean;
}

/** Activation between the two products of a feed-forward layer. */
type Activation = 'relu' | 'gelu_new' | 'silu';

export interface T5Config {
  vocabSize: number;
  dModel: number;
  numHeads: number;
  dKv: number;
  dFf: number;
  activation: Activation;
  /** The activated product gates a second product (T5 v1.1). */
  isGated: boolean;
  /** Every layer has its own position biases (UMT5); otherwise all layers use those of the first. */
  hasBiasByLayer: boolean;
  encoderLayers: number;
  decoderLayers: number;
  /** Relative positions: number of buckets, and the distance from which on all share the last bucket. */
  numBuckets: number;
  maxDistance: number;
  epsilon: number;
  /** Factor of the head's input. */
  headScale: number;
  /** Maximum number of positions, for encoder and decoder each. */
  contextLength: number;
  /** null: no AltUp, the representation is as wide as a layer. */
  altup: AltUpConfig | null;
  /** null: every encoder layer computes every token. */
  sequence: SequenceConfig | null;
  /** null: no sparse experts. */
  moe: MoeConfig | null;
}

export const t5Types = ['t5', 'mt5', 'umt5'] as const;
type T5Type = (typeof t5Types)[number];

/** `feed_forward_proj` in Hugging Face's config classes, if missing from the file. */
const defaultFeedForward = { t5: 'relu', mt5: 'gated-gelu', umt5: 'gated-gelu' } as const;

/** Supported values of `feed_forward_proj`. */
const feedForwards: Readonly<Record<string, { activation: Activation; isGated: boolean }>> = {
  relu: { activation: 'relu', isGated: false },
  'gated-gelu': { activation: 'gelu_new', isGated: true },
  'gated-silu': { activation: 'silu', isGated: true },
  'gated-relu': { activation: 'relu', isGated: true },
};

/**
 * Reads a Hugging Face T5, mT5 or UMT5 config with our `altup` and `moe` objects. It honours or refuses every field
 * that changes the computation, and ignores none. Missing fields have Hugging Face's defaults.
 */
export function readT5Config(config: ConfigReader): T5Config {
  refuseUnsupported(config);
  const type = config.oneOf('model_type', t5Types, { missing: 't5' });
  const dModel = config.integer('d_model', [1, modelLimits.width]);
  const encoderLayers = config.integer('num_layers', [1, modelLimits.layers]);
  const dKv = config.integer('d_kv', [1, modelLimits.headSize]);
  // ONNX Runtime's GroupQueryAttention accepts no other head sizes.
  if (dKv % 8 !== 0) throw config.refuse('d_kv', 'a multiple of 8');
  const numBuckets = config.integer('relative_attention_num_buckets', [4, modelLimits.distance], {
    missing: 32,
  });
  const maxDistance = config.integer('relative_attention_max_distance', [1, modelLimits.distance], {
    missing: 128,
  });
  if (numBuckets % 4 !== 0) throw config.refuse('relative_attention_num_buckets', 'a multiple of 4');
  // Half of the decoder's buckets hold one distance each; the logarithmic buckets need larger distances.
  if (maxDistance <= numBuckets / 2) {
    throw config.refuse('relative_attention_max_distance', `more than half of the ${numBuckets} buckets`);
  }
  return {
    vocabSize: config.integer('vocab_size', [1, modelLimits.vocab]),
    dModel,
    numHeads: config.integer('num_heads', [1, modelLimits.heads]),
    dKv,
    dFf: config.integer('d_ff', [1, modelLimits.width]),
    ...readFeedForward(config, type),
    hasBiasByLayer: type === 'umt5',
    encoderLayers,
    decoderLayers: config.integer('num_decoder_layers', [1, modelLimits.layers], unsaid(encoderLayers)),
    numBuckets,
    maxDistance,
    epsilon: config.number('layer_norm_epsilon', [1e-12, 1], { missing: 1e-6 }),
    headScale: isHeadScaled(config, type) ? dModel ** -0.5 : 1,
    contextLength: config.integer('n_positions', [1, modelLimits.positions], { missing: 512 }),
    altup: readAltUp(config.object('altup')),
    sequence: readSequence(config.object('altup')?.object('sequence') ?? null, encoderLayers),
    moe: readMoe(config.object('moe')),
  };
}

/** In newer files, `dense_act_fn` and `is_gated_act` repeat `feed_forward_proj`. */
function readFeedForward(config: ConfigReader, type: T5Type): Pick<T5Config, 'activation' | 'isGated'> {
  const name = config.oneOf('feed_forward_proj', Object.keys(feedForwards), {
    missing: defaultFeedForward[type],
  });
  const { activation, isGated } = feedForwards[name]!;
  config.oneOf('dense_act_fn', [activation], unsaid(activation));
  if (config.boolean('is_gated_act', { missing: isGated }) !== isGated) {
    throw config.refuse('is_gated_act', `${isGated}, as in feed_forward_proj "${name}"`);
  }
  return { activation, isGated };
}

/**
 * T5 1.0 scales, v1.1 does not; older files distinguish them only by `tie_word_embeddings`. mT5 never scales and UMT5
 * always scales, whatever the file says (configuration and modeling files of transformers 5).
 */
function isHeadScaled(config: ConfigReader, type: T5Type): boolean {
  const isTied = config.boolean('tie_word_embeddings', { missing: true });
  const isScaled = config.boolean('scale_decoder_outputs', unsaid(isTied));
  return type === 't5' ? isScaled : type === 'umt5';
}

function refuseUnsupported(config: ConfigReader): void {
  if (!config.boolean('is_encoder_decoder', { missing: true })) {
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
    numBlocks: altup.integer('num_blocks', [1, modelLimits.blocks]),
    selection: altup.oneOf('selection', ['alternating', 'same'], { missing: 'alternating' }),
    recycled: altup.boolean('recycled', { missing: false }),
  };
}

/** Sparse experts next to each feed-forward layer: `moe` in config.json. */
interface MoeConfig {
  numExperts: number;
  /** Hidden width of one expert. */
  expertDFf: number;
  /** Number of experts that compute a token. */
  topK: number;
}

function readMoe(moe: ConfigReader | null): MoeConfig | null {
  if (!moe) return null;
  moe.allowOnly(['num_experts', 'expert_d_ff', 'top_k']);
  const numExperts = moe.integer('num_experts', [1, modelLimits.experts]);
  const topK = moe.integer('top_k', [1, modelLimits.experts], { missing: 1 });
  if (topK > numExperts) throw moe.refuse('top_k', `at most ${numExperts}, the number of experts`);
  return { numExperts, expertDFf: moe.integer('expert_d_ff', [1, modelLimits.width]), topK };
}

/** How the encoder computes fewer tokens: `altup.sequence` in config.json. */
interface SequenceConfig {
  method: 'altup' | 'skip' | 'average';
  /** k: the encoder computes one of each k tokens, or their mean. */
  stride: number;
  /** First and last encoder layer that skips tokens, from 0, inclusive; all layers if tokens are averaged. */
  firstLayer: number;
  lastLayer: number;
}

/** @param encoderLayers number of layers, for negative indices, which count from the end */
function readSequence(sequence: ConfigReader | null, encoderLayers: number): SequenceConfig | null {
  if (!sequence) return null;
  sequence.allowOnly(['stride', 'method', 'first_layer', 'last_layer']);
  const method = sequence.oneOf('method', ['altup', 'skip', 'average'], { missing: 'altup' });
  const stride = sequence.integer('stride', [1, modelLimits.blocks]);
  if (method === 'average') {
    for (const field of ['first_layer', 'last_layer']) {
      if (sequence.has(field)) throw sequence.refuse(field, 'none: all layers see averaged tokens');
    }
    return { method, stride, firstLayer: 0, lastLayer: encoderLayers - 1 };
  }
  const layer = (field: string, fallback: number) => {
    const given = sequence.integer(field, [-modelLimits.layers, modelLimits.layers], { missing: fallback });
    return given < 0 ? given + encoderLayers : given;
  };
  // Defaults of the paper: all layers except the first and the last.
  const firstLayer = layer('first_layer', 1);
  const lastLayer = layer('last_layer', -2);
  if (firstLayer < 0 || firstLayer >= encoderLayers) {
    throw sequence.refuse('first_layer', `a layer from 0 to ${encoderLayers - 1}, or from −1 backwards`);
  }
  if (lastLayer < firstLayer || lastLayer >= encoderLayers) {
    throw sequence.refuse(
      'last_layer',
      `a layer from ${firstLayer} to ${encoderLayers - 1}, or from −1 backwards`,
    );
  }
  return { method, stride, firstLayer, lastLayer };
}
