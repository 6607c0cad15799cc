import type { FinishReason, GenerationEvent } from '../../engine/protocol/generation.ts';
import { ServiceError } from '../../errors.ts';
import type { PromptTokenLogprobs, TokenLogprobs } from '../../sampling/sampled-token.ts';
import type { GenerationJob } from './generation-job.ts';

/** The new part of one choice. */
export interface ChoiceDelta {
  /** Index of the sequence within its job. */
  index: number;
  text: string;
  tokens: readonly number[];
  logprobs: readonly TokenLogprobs[] | null;
  /** Those of all tokens that the decoder is given, if requested; only in the choice's first delta. */
  promptLogprobs: readonly (PromptTokenLogprobs | null)[] | null;
  finishReason: FinishReason | null;
  stopReason: string | number | null;
}

/**
 * Turns the engine's events into deltas of choices.
 * @throws ServiceError when a sequence fails or is aborted, which fails the whole answer
 */
export async function* choiceDeltas(
  events: AsyncIterable<GenerationEvent>,
  job: GenerationJob,
): AsyncGenerator<ChoiceDelta, void, undefined> {
  const indexes = new Map(job.requests.map(({ id }, index) => [id, index]));
  const scores = job.requests.map(({ promptLogprobs }): (PromptTokenLogprobs | null)[] | null =>
    promptLogprobs === null ? null : [],
  );
  const takeScores = (index: number) => {
    const own = scores[index]!;
    scores[index] = null;
    return own;
  };
  for await (const event of events) {
    const index = indexes.get(event.id)!;
    switch (event.type) {
      case 'scored':
        scores[index]?.push(...event.logprobs);
        break;
      case 'tokens': {
        const { text, tokens, logprobs } = event;
        const promptLogprobs = takeScores(index);
        yield { index, text, tokens, logprobs, promptLogprobs, finishReason: null, stopReason: null };
        break;
      }
      case 'finished': {
        const { text, reason, stopReason } = event;
        const promptLogprobs = takeScores(index);
        yield { index, text, tokens: [], logprobs: null, promptLogprobs, finishReason: reason, stopReason };
        break;
      }
      case 'failed':
        throw new ServiceError(event.code, event.message);
      case 'aborted':
        throw new ServiceError('shutting_down', 'The service stopped before the answer was finished.');
    }
  }
}

/** A complete choice. */
export type WholeChoice = ChoiceDelta & {
  tokens: number[];
  logprobs: NonNullable<ChoiceDelta['logprobs']>[number][] | null;
};

/** Waits for all sequences. @returns one choice for each, in the job's order */
export async function collectChoices(
  deltas: AsyncIterable<ChoiceDelta>,
  { requests }: GenerationJob,
): Promise<WholeChoice[]> {
  const choices = requests.map(
    ({ logprobs }, index): WholeChoice => ({
      index,
      text: '',
      tokens: [],
      logprobs: logprobs === null ? null : [],
      promptLogprobs: null,
      finishReason: null,
      stopReason: null,
    }),
  );
  for await (const delta of deltas) {
    const choice = choices[delta.index]!;
    choice.text += delta.text;
    choice.tokens.push(...delta.tokens);
    choice.logprobs?.push(...(delta.logprobs ?? []));
    choice.promptLogprobs ??= delta.promptLogprobs;
    choice.finishReason ??= delta.finishReason;
    choice.stopReason ??= delta.stopReason;
  }
  return choices;
}

/** Mean over the tokens; 0, the best possible value, for a choice without tokens. */
function meanLogprob({ logprobs }: WholeChoice): number {
  if (!logprobs || logprobs.length === 0) return 0;
  return logprobs.reduce((sum, { logprob }) => sum + logprob, 0) / logprobs.length;
}

/**
 * For each prompt, the `n` of its `bestOf` choices with the highest mean log probability, best first. Ties keep their
 * order. If `n` equals `bestOf`, returns all choices in their order.
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
