import type { WholeChoice } from './collect-choices.ts';
import type { GenerationJob } from './generation-job.ts';

/** Mean over the tokens; a choice without any says nothing against itself. */
function meanLogprob({ logprobs }: WholeChoice): number {
  if (!logprobs || logprobs.length === 0) return 0;
  return logprobs.reduce((sum, { logprob }) => sum + logprob, 0) / logprobs.length;
}

/**
 * Of each prompt's `bestOf` choices the `n` whose tokens are likeliest on average, the likeliest first; equal ones keep
 * their order. Where none is left out, all as they are.
 */
export function bestChoices(
  choices: readonly WholeChoice[],
  { prompts, n, bestOf }: Pick<GenerationJob, 'prompts' | 'n' | 'bestOf'>,
): WholeChoice[] {
  if (n === bestOf) return [...choices];
  return prompts.flatMap((_, prompt) =>
    choices
      .slice(prompt * bestOf, (prompt + 1) * bestOf)
      .sort((a, b) => meanLogprob(b) - meanLogprob(a))
      .slice(0, n)
      .map((choice, i) => ({ ...choice, index: prompt * n + i })),
  );
}
