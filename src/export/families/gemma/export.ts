import type { FunctionProto } from 'onnx-buf';
import type { ConfigReader } from '../../../catalog/config-reader.ts';
import type { Manifest } from '../../../catalog/manifest.ts';
import { altupOpset } from '../../altup/domain.ts';
import type { WeightSource } from '../../checkpoint/weight-source.ts';
import { GraphBuilder } from '../../onnx/graph-builder.ts';
import type { FamilyExport } from '../family.ts';
import type { GemmaConfig } from './config.ts';
import type { GemmaGraph } from './graph-parts.ts';
import { headName, isOtherTower, type MediaDefaults, mediaTokens, weightPrefix } from './multimodal.ts';

/** What tells the families apart. */
export interface GemmaFamily<Config extends GemmaConfig> {
  name: 'gemma3' | 'gemma3n';
  /** Norms are stored as their difference from 1. */
  hasCentredNorms: boolean;
  readConfig(text: ConfigReader, outer: ConfigReader): Config;
  buildDecoder(gemma: GemmaGraph<Config>): void;
  altup(config: Config): Manifest['altup'];
  functions: FunctionProto[];
  /** Weights, by their names behind the prefix, that published checkpoints hold though nothing is computed with them. */
  isUnused(config: Config, name: string): boolean;
  /** Whether a layer reads the cache of an earlier one. */
  sharesCache(config: Config, layer: number): boolean;
  media: MediaDefaults;
}

/** The text model alone; of a multimodal checkpoint the text model in it. */
export function gemmaExport<Config extends GemmaConfig>(family: GemmaFamily<Config>): FamilyExport {
  return async (outer, weights, precision) => {
    const text = outer.object('text_config');
    const prefix = weightPrefix(weights);
    const config = await withOwnHead(family.readConfig(text ?? outer, outer), weights, prefix);
    const graph = new GraphBuilder('decoder');
    const { hasCentredNorms } = family;
    family.buildDecoder({ graph, weights, precision, config, prefix, hasCentredNorms });
    weights.refuseUnused((name) => {
      if (text !== null && isOtherTower(name)) return true;
      if (config.isTied && name === headName(weights)) return true;
      return name.startsWith(prefix) && family.isUnused(config, name.slice(prefix.length));
    });
    return {
      graphs: [graph],
      functions: family.functions,
      opsets: family.functions.length > 0 ? [altupOpset] : [],
      manifest: {
        family: family.name,
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

/** A head that differs from the table is used whatever `tie_word_embeddings` says, as transformers 5 does. */
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
