import { type GemmaFamily, gemmaFamily } from '../gemma/export.ts';
import { type Gemma3nConfig, readGemma3nConfig } from './config.ts';
import { buildDecoder } from './decoder.ts';

/** The parts of the family, for benchmarks that replace some. */
export const gemma3nParts: GemmaFamily<Gemma3nConfig> = {
  name: 'gemma3n',
  modelTypes: ['gemma3n', 'gemma3n_text'],
  hasCentredNorms: false,
  readConfig: readGemma3nConfig,
  buildDecoder,
  altup: ({ altup }) => ({
    numBlocks: altup.numBlocks,
    selection: 'same',
    recycled: false,
    coefficients: 'perToken',
  }),
  isUnused(config, name) {
    if (name.endsWith('.altup.correct_output_scale')) return !config.altup.scalesCorrected;
    const layer = /^layers\.(\d+)\.self_attn\.(k_proj|v_proj|k_norm)\.weight$/.exec(name)?.[1];
    return layer !== undefined && sharesCache(config, Number(layer));
  },
  sharesCache,
  media: {
    tokens: { image: [262_145, 255_999, 262_144], audio: [262_273, 256_000, 262_272] },
    offsets: { image: 262_144, audio: 262_272 },
  },
};

export const gemma3n = gemmaFamily(gemma3nParts);

function sharesCache({ sharedLayers }: Gemma3nConfig, layer: number): boolean {
  return (sharedLayers[layer] ?? null) !== null;
}
