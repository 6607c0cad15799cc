import type { GenerationRequest, PromptTokenLogprobs } from './generation.ts';
import { tokenLogprobs } from './token-logprobs.ts';

/**
 * What the model made of the prompt's tokens, from the logits after tokens `from` to `from + count - 1`.
 * @param logits fp32 [count × vocabulary]
 * @returns one for each token that comes after one of those; and null before them for the prompt's first token
 */
export function promptLogprobs(
  logits: Float32Array,
  { promptTokens, promptLogprobs: alternatives }: Pick<GenerationRequest, 'promptTokens' | 'promptLogprobs'>,
  from: number,
  count: number,
): (PromptTokenLogprobs | null)[] {
  const vocabSize = logits.length / count;
  const scored: (PromptTokenLogprobs | null)[] = from === 0 ? [null] : [];
  for (let i = 0; i < count && from + i + 1 < promptTokens.length; i++) {
    const row = logits.subarray(i * vocabSize, (i + 1) * vocabSize);
    const token = promptTokens[from + i + 1]!;
    scored.push({ ...tokenLogprobs(row, token, alternatives ?? 0), rank: rankOf(row, token) });
  }
  return scored;
}

function rankOf(logits: Float32Array, token: number): number {
  const own = logits[token]!;
  let rank = 1;
  for (const logit of logits) if (logit > own) rank++;
  return rank;
}
