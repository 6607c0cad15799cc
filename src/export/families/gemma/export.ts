import type { ConfigReader } from '../../../catalog/config-reader.ts';
import type { Manifest } from '../../../catalog/manifest.ts';
import { altupOpset } from '../../altup/domain.ts';
import { altupFunctions } from '../../altup/functions.ts';
import type { WeightSource } from '../../checkpoint/weight-source.ts';
import { GraphBuilder } from '../../onnx/graph-builder.ts';
import type { Family } from '../family.ts';
import type { GemmaConfig } from './config.ts';
import type { GemmaGraph } from './graph-parts.ts';
import { headName, isOtherTower, type MediaDefaults, mediaTokens, weightPrefix } from './multimodal.ts';

/**
 * Models narrower than this lose too much in 4 bits, because errors average out over fewer numbers. Their linear layers
 * keep 8 bits, except the three kinds that lose least (docs/precisions.md).
 */
const narrow = 1024;
const coarseEnough = /\.(q_proj|o_proj|gate_proj)\.weight$/;

/** The differences between the families. */
export interface GemmaFamily<Config extends GemmaConfig> {
  name: string;
  modelTypes: readonly string[];
  /** Norm weights are stored as their difference from 1. */
  hasCentredNorms: boolean;
  readConfig(text: ConfigReader, outer: ConfigReader): Config;
  buildDecoder(gemma: GemmaGraph<Config>): void;
  altup(config: Config): Manifest['altup'];
  /** Whether published checkpoints hold this weight (name without the prefix) although no computation uses it. */
  isUnused(config: Config, name: string): boolean;
  /** Whether a layer reads the cache of an earlier layer. */
  sharesCache(config: Config, layer: number): boolean;
  media: MediaDefaults;
}

/** The family that exports the text model only, also from a multimodal checkpoint. */
export function gemmaFamily<Config extends GemmaConfig>(family: GemmaFamily<Config>): Family {
  const { name, modelTypes } = family;
  return { name, modelTypes, export: exportOf(family), specialTokens: { eos: [1], bos: 2, pad: 0 } };
}

function exportOf<Config extends GemmaConfig>(family: GemmaFamily<Config>): Family['export'] {
  return async (outer, weights, precision) => {
    const text = outer.object('text_config');
    const prefix = weightPrefix(weights);
    const config = await withOwnHead(family.readConfig(text ?? outer, outer), weights, prefix);
    const graph = new GraphBuilder('decoder');
    const { hasCentredNorms } = family;
    const keeps8Bits = (weight: string) => config.hiddenSize < narrow && !coarseEnough.test(weight);
    family.buildDecoder({ graph, weights, precision, keeps8Bits, config, prefix, hasCentredNorms });
    weights.refuseUnused((name) => {
      if (text !== null && isOtherTower(name)) return true;
      if (config.isTied && name === headName(weights)) return true;
      return name.startsWith(prefix) && family.isUnused(config, name.slice(prefix.length));
    });
    return {
      graphs: [graph],
      functions: altupFunctions('gemma'),
      opsets: [altupOpset],
      manifest: {
        altup: family.altup(config),
        sequence: null,
        moe: null,
        parameters: weights.parameters,
        vocabSize: config.vocabSize,
        cache: config.layers
          .filter((_, layer) => !family.sharesCache(config, layer))
          .map(({ window }) => ({
            kvHeads: config.kvHeads,
            headSize: config.headSize,
            slidingWindow: window,
          })),
        cross: [],
        contextLength: config.contextLength,
        encoderContextLength: null,
        mediaTokens: mediaTokens(outer, text !== null, family.media, config.vocabSize),
      },
    };
  };
}

/** Uses a head that differs from the table whatever `tie_word_embeddings` says, as transformers 5 does. */
async function withOwnHead<Config extends GemmaConfig>(
  config: Config,
  weights: WeightSource,
  prefix: string,
): Promise<Config> {
  const { isTied, vocabSize, hiddenSize } = config;
  const table = `${prefix}embed_tokens.weight`;
  if (!isTied || !(await weights.differ(table, headName(weights), [vocabSize, hiddenSize]))) return config;
  return { ...config, isTied: false };
}
