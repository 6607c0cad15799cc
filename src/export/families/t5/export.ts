import type { Manifest } from '../../../catalog/manifest.ts';
import { altupOpset } from '../../altup/domain.ts';
import { altupFunctions } from '../../altup/functions.ts';
import type { FamilyExport } from '../family.ts';
import { readT5Config, type T5Config } from './config.ts';
import { buildDecoder } from './decoder.ts';
import { buildEncoder } from './encoder.ts';

/** T5 v1.1, dense or with the paper's AltUp, Sequence-AltUp and its baselines, and sparse experts. */
export const exportT5: FamilyExport = async (reader, weights, precision) => {
  const config = readT5Config(reader);
  const encoder = await buildEncoder({ weights, config, precision });
  const decoder = await buildDecoder({ weights, config, precision });
  weights.refuseUnused((name) => isCopy(name, config));
  return {
    graphs: [encoder, decoder],
    functions: altupFunctions(),
    opsets: [altupOpset],
    manifest: describe(config, weights.parameters),
  };
};

/** Tensors that repeat another one, or that Hugging Face's loader skips too. */
function isCopy(name: string, config: T5Config): boolean {
  if (/^(shared|(encoder|decoder)\.embed_tokens)\.weight$/.test(name)) return true;
  if (name === 'decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight') return true;
  return name === 'lm_head.weight' && config.isTied;
}

function describe(config: T5Config, parameters: number): Awaited<ReturnType<FamilyExport>>['manifest'] {
  const { numHeads, dKv, contextLength, sequence, moe } = config;
  const layers = Array.from({ length: config.decoderLayers });
  const cache: Manifest['cache'] = layers.map(() => ({
    kvHeads: numHeads,
    headSize: dKv,
    slidingWindow: null,
  }));
  return {
    family: 't5',
    altup: config.altup,
    sequence: sequence && { method: sequence.method, stride: sequence.stride },
    moe: moe && { numExperts: moe.numExperts, topK: moe.topK },
    parameters,
    vocabSize: config.vocabSize,
    cache,
    cross: layers.map(() => ({ heads: numHeads, headSize: dKv })),
    mediaTokens: { image: [], audio: [] },
    contextLength,
    encoderContextLength: contextLength,
  };
}
