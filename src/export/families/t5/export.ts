import type { Manifest } from '../../../catalog/manifest.ts';
import { ConfigurationError } from '../../../errors.ts';
import { altupOpset } from '../../altup/domain.ts';
import { altupFunctions } from '../../altup/functions.ts';
import type { WeightSource } from '../../checkpoint/weight-source.ts';
import type { Family, FamilyExport } from '../family.ts';
import { readT5Config, type T5Config, t5Types } from './config.ts';
import { buildDecoder } from './decoder.ts';
import { buildEncoder } from './encoder.ts';
import { tableName, tableNames, tableWidth } from './graph-parts.ts';
import { headName } from './output-head.ts';

const exportT5: FamilyExport = async (reader, weights, precision) => {
  const config = readT5Config(reader);
  await refuseOtherTables(weights, config);
  // Like transformers 5, use a head that differs from the table whatever tie_word_embeddings says.
  const shape = [config.vocabSize, tableWidth(config)];
  const hasOwnHead = await weights.differ(tableName(weights), headName, shape);
  const encoder = await buildEncoder({ weights, config, precision, hasOwnHead });
  const decoder = await buildDecoder({ weights, config, precision, hasOwnHead });
  weights.refuseUnused(isCopy);
  return {
    graphs: [encoder, decoder],
    functions: altupFunctions(),
    opsets: [altupOpset],
    manifest: describe(config, weights.parameters),
  };
};

/** T5, mT5 and UMT5: dense or with the paper's AltUp, Sequence-AltUp and its baselines, and sparse experts. */
export const t5: Family = {
  name: 't5',
  modelTypes: t5Types,
  export: exportT5,
  // T5 starts decoding with the padding token.
  specialTokens: { eos: [1], pad: 0, decoderStart: 0 },
};

/** Matches tensors that repeat another tensor, or that Hugging Face's loader also skips. */
function isCopy(name: string): boolean {
  if (tableNames.includes(name) || name === headName) return true;
  return name === 'decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight';
}

/** Refuses a second, different table. Encoder and decoder share one, so the export would silently drop it. */
async function refuseOtherTables(weights: WeightSource, config: T5Config): Promise<void> {
  const table = tableName(weights);
  for (const name of tableNames) {
    if (!(await weights.differ(table, name, [config.vocabSize, tableWidth(config)]))) continue;
    throw new ConfigurationError(
      `${weights.pathOf(name)}: ${name} differs from ${table}; a T5 has one table for both stacks`,
    );
  }
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
    altup: config.altup && { ...config.altup, coefficients: 'shared' },
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
