import { altupFunctions } from '../../altup/functions.ts';
import { type GemmaFamily, gemmaExport } from '../gemma/export.ts';
import { type Gemma3nConfig, readGemma3nConfig } from './config.ts';
import { buildDecoder } from './decoder.ts';

export const gemma3n: GemmaFamily<Gemma3nConfig> = {
  name: 'gemma3n',
  hasCentredNorms: false,
  readConfig: readGemma3nConfig,
  buildDecoder,
  altup: ({ altup }) => ({ numBlocks: altup.numBlocks, selection: 'same', recycled: false }),
  functions: altupFunctions('gemma3n'),
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

export const exportGemma3n = gemmaExport(gemma3n);

function sharesCache({ sharedLayers }: Gemma3nConfig, layer: number): boolean {
  return (sharedLayers[layer] ?? null) !== null;
}
