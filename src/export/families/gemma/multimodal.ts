import type { ConfigReader } from '../../../catalog/config-reader.ts';
import type { Manifest } from '../../../catalog/manifest.ts';
import type { WeightSource } from '../../checkpoint/weight-source.ts';

/** Prefixes of the text model's weights: in transformers 5, in earlier versions, and without other towers. */
const prefixes = ['model.language_model.', 'language_model.model.', 'model.'] as const;

export function weightPrefix(weights: WeightSource): string {
  return prefixes.find((prefix) => weights.has(`${prefix}embed_tokens.weight`)) ?? 'model.';
}

/** Name of a separate head's weight in this checkpoint. */
export function headName(weights: WeightSource): string {
  return ['language_model.lm_head.weight'].find((name) => weights.has(name)) ?? 'lm_head.weight';
}

/** Matches weights of the other towers and of their projections into the text model. */
export function isOtherTower(name: string): boolean {
  return /^(model\.)?(vision_tower|audio_tower|embed_vision|embed_audio|multi_modal_projector)\./.test(name);
}

/** Fields of Hugging Face's `Gemma3Config` and `Gemma3nConfig`, in both spellings. */
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

/** Media defaults of a family's config class, for fields missing from the config. */
export interface MediaDefaults {
  tokens: Manifest['mediaTokens'];
  /** First ids of the tokens with embeddings in other towers; null if there are none. */
  offsets: { image: number; audio: number } | null;
}

/** Maximum number of tokens for one kind of media. */
const maxMediaTokens = 4096;

/**
 * Tokens that stand for an image or a sound, enclose one, or have their embeddings in another tower (ids from
 * `vocab_offset` on, as in `Gemma3nModel.forward` of transformers). The text model alone cannot interpret them.
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
    if (to - from > maxMediaTokens)
      throw vision.refuse('vocab_offset', `at most ${maxMediaTokens} tokens after it`);
    return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
  };
  return {
    image: [...new Set([...named('image'), ...ids(image, Math.min(audio, vocabSize))])],
    audio: [...new Set([...named('audio'), ...ids(audio, vocabSize)])],
  };
}
