import type { ConfigReader } from '../../../catalog/config-reader.ts';
import type { Manifest } from '../../../catalog/manifest.ts';
import type { WeightSource } from '../../checkpoint/weight-source.ts';

/** In front of the text model's weights: as transformers 5 writes them, as it once did, and without other towers. */
const prefixes = ['model.language_model.', 'language_model.model.', 'model.'] as const;

export function weightPrefix(weights: WeightSource): string {
  return prefixes.find((prefix) => weights.has(`${prefix}embed_tokens.weight`)) ?? 'model.';
}

/** The head of its own, under the name that goes with the prefix. */
export function headName(weights: WeightSource): string {
  return ['language_model.lm_head.weight'].find((name) => weights.has(name)) ?? 'lm_head.weight';
}

/** Weights of the towers and of what leads from them into the text model. */
export function isOtherTower(name: string): boolean {
  return /^(model\.)?(vision_tower|audio_tower|embed_vision|embed_audio|multi_modal_projector)\./.test(name);
}

/** By Hugging Face's `Gemma3Config` and `Gemma3nConfig`, under both of their spellings. */
const mediaFields = {
  image: [
    'image_token_id',
    'image_token_index',
    'boi_token_id',
    'boi_token_index',
    'eoi_token_id',
    'eoi_token_index',
  ],
  audio: ['audio_token_id', 'boa_token_id', 'eoa_token_id'],
} as const;

/** What a family's config class says of media where a config says nothing. */
export interface MediaDefaults {
  tokens: Manifest['mediaTokens'];
  /** Where the tokens begin that other towers have the embeddings of; null: there are none. */
  offsets: { image: number; audio: number } | null;
}

/** Most tokens that may belong to one kind of media. */
const mostTokens = 4096;

/**
 * Tokens that stand for an image or a sound, enclose one, or have their embeddings in another tower (from `vocab_offset`
 * on, as `Gemma3nModel.forward` of transformers reads it): the text model alone makes nothing of them.
 */
export function mediaTokens(
  outer: ConfigReader,
  isMultimodal: boolean,
  defaults: MediaDefaults,
  vocabSize: number,
): Manifest['mediaTokens'] {
  if (!isMultimodal) return { image: [], audio: [] };
  const named = (kind: keyof typeof mediaFields) => {
    const found = mediaFields[kind].map((field) => outer.tokenId(field)).filter((id) => id !== null);
    return found.length > 0 ? found : defaults.tokens[kind];
  };
  const { offsets } = defaults;
  if (offsets === null) return { image: named('image'), audio: named('audio') };
  const vision = outer.object('vision_config') ?? outer;
  const image = vision.tokenId('vocab_offset') ?? offsets.image;
  const audio = outer.object('audio_config')?.tokenId('vocab_offset') ?? offsets.audio;
  const ids = (from: number, to: number) => {
    if (to - from > mostTokens) throw vision.refuse('vocab_offset', `at most ${mostTokens} tokens behind it`);
    return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
  };
  return {
    image: [...new Set([...named('image'), ...ids(image, Math.min(audio, vocabSize))])],
    audio: [...new Set([...named('audio'), ...ids(audio, vocabSize)])],
  };
}
