import { smallGemma3n } from './small-gemma3n.ts';

/**
 * A Gemma 3n with a context of 32,768 tokens whose cache is large enough to measure: 5 KiB a token, 4 of them in layers
 * with a window of 512.
 */
export const longGemma3n = { ...smallGemma3n, num_attention_heads: 4, head_dim: 64 };
