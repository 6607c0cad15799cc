import type { PromptTokenLogprobs } from '../../sampling/sampled-token.ts';
import { finite } from '../generation/finite.ts';
import type { TokenTexts } from '../generation/token-texts.ts';
import { type WrittenJson, writeListInTurns } from '../in-turns.ts';

/**
 * The prompt's log probabilities as vLLM writes them: by token id, the prompt's own first.
 * @param alternatives how many of the most likely tokens to list beside the prompt's own
 */
export function promptLogprobsById(
  tokens: readonly number[],
  scores: readonly (PromptTokenLogprobs | null)[],
  alternatives: number,
  texts: TokenTexts,
): Promise<WrittenJson> {
  const entry = (token: number, logprob: number, rank: number) =>
    `"${token}":${JSON.stringify({ logprob: finite(logprob), rank, decoded_token: texts.of(token) })}`;
  return writeListInTurns(scores, (score, i) => {
    if (score === null) return 'null';
    const own = tokens[i]!;
    const entries = [entry(own, score.logprob, score.rank)];
    for (const [place, { token, logprob }] of score.top.slice(0, alternatives).entries()) {
      if (token !== own) entries.push(entry(token, logprob, place + 1));
    }
    return `{${entries.join()}}`;
  });
}
