import { gemmaExport } from '../gemma/export.ts';
import { readGemma3Config } from './config.ts';
import { buildDecoder } from './decoder.ts';

export const exportGemma3 = gemmaExport({
  name: 'gemma3',
  hasCentredNorms: true,
  readConfig: readGemma3Config,
  buildDecoder,
  altup: () => null,
  functions: [],
  isUnused: () => false,
  sharesCache: () => false,
  media: { tokens: { image: [262_144, 255_999, 256_000], audio: [] }, offsets: null },
});
