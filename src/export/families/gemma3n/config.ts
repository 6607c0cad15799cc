import { type ConfigReader, unsaid } from '../../../catalog/config-reader.ts';
import { modelLimits } from '../../../catalog/model-limits.ts';
import { type GemmaConfig, type GemmaLayer, readGemmaConfig } from '../gemma/config.ts';

/** Φ⁻¹(p), 0 < p < 1: a standard normal variable is below this number with probability p. */
export function normalQuantile(p: number): number {
  let x = 0;
  // Newton's method from the middle. Φ is concave above 0, so the steps never leave the side of p.
  for (let step = 0; step < 100; step += 1) {
    const next = x - (normalCdf(x) - p) / density(x);
    if (Math.abs(next - x) < 1e-15 * Math.max(1, Math.abs(x))) return next;
    x = next;
  }
  return x;
}

const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** Φ(x) = ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …) (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.2.11). */
function normalCdf(x: number): number {
  let sum = x;
  for (let term = x, n = 3; Math.abs(term) > 1e-17 * Math.abs(sum); n += 2) {
    term *= (x * x) / n;
    sum += term;
  }
  return 0.5 + density(x) * sum;
}

export interface Gemma3nConfig extends GemmaConfig {
  altup: {
    /** K */
    numBlocks: number;
    /** Index of the block that every layer computes. */
    active: number;
    /** Coefficients are clipped to ± this value; null: no clipping. */
    coefClip: number | null;
    /** The corrected block is scaled elementwise before it gates the per-layer inputs. */
    scalesCorrected: boolean;
  };
  laurelRank: number;
  perLayerInput: { vocabSize: number; size: number };
  /** By layer: a gate stays if it is more than this many standard deviations above the mean; null: all stay. */
  stdMultipliers: (number | null)[];
  /** By layer: the earlier layer that provides keys and values; null: the layer has its own. */
  sharedLayers: (number | null)[];
}

/** Reads the config with the fields and defaults of Hugging Face's `Gemma3nTextConfig`. */
export function readGemma3nConfig(text: ConfigReader, outer: ConfigReader): Gemma3nConfig {
  const common = readGemmaConfig(text, outer, {
    vocabSize: 262_400,
    hiddenSize: 2048,
    intermediateSize: 16_384,
    layers: 35,
    numHeads: 8,
    kvHeads: 2,
    contextLength: 32_768,
    sliding: { window: 512, fullEvery: 5 },
    logitCap: 30,
  });
  return {
    ...common,
    attentionScale: 1,
    altup: readAltUp(text),
    laurelRank: text.integer('laurel_rank', [1, modelLimits.width], { missing: 64 }),
    perLayerInput: {
      vocabSize: text.integer('vocab_size_per_layer_input', [1, modelLimits.vocab], { missing: 262_144 }),
      size: text.integer('hidden_size_per_layer_input', [1, modelLimits.width], { missing: 256 }),
    },
    stdMultipliers: readSparsity(text, common.layers.length),
    sharedLayers: readSharedLayers(text, common.layers),
  };
}

function readAltUp(text: ConfigReader): Gemma3nConfig['altup'] {
  const numBlocks = text.integer('altup_num_inputs', [2, modelLimits.blocks], { missing: 4 });
  return {
    numBlocks,
    active: text.integer('altup_active_idx', [0, numBlocks - 1], { missing: 0 }),
    coefClip: text.number('altup_coef_clip', [1e-6, 1e9], { missing: 120, null: null }),
    scalesCorrected: text.boolean('altup_correct_scale', { missing: true }),
  };
}

function readSparsity(text: ConfigReader, count: number): (number | null)[] {
  const sparsities =
    text.numbers('activation_sparsity_pattern', count, [0, 1 - 1e-6], unsaid(null)) ??
    Array.from({ length: count }, (_, index) => (count > 10 && index < 10 ? 0.95 : 0));
  return sparsities.map((sparsity) => (sparsity === 0 ? null : normalQuantile(sparsity)));
}

/** The shared (last) layers read keys and values of the last unshared layer with the same kind of attention. */
function readSharedLayers(text: ConfigReader, layers: readonly GemmaLayer[]): (number | null)[] {
  const shared = text.integer('num_kv_shared_layers', [0, modelLimits.layers], { missing: 15 });
  const first = layers.length - shared;
  return layers.map(({ attention }, index) => {
    if (index < first) return null;
    const source = layers
      .slice(0, Math.max(0, first))
      .findLastIndex((layer) => layer.attention === attention);
    if (source < 0) {
      throw text.refuse(
        'num_kv_shared_layers',
        `fewer, so that a ${attention} layer precedes layer ${index}`,
      );
    }
    return source;
  });
}
