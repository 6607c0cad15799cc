import type { FinishReason, GenerationEvent } from '../../engine/protocol/generation.ts';
import { ServiceError } from '../../errors.ts';
import type { PromptTokenLogprobs, TokenLogprobs } from '../../sampling/sampled-token.ts';
import type { RequestContext } from '../requests/request-context.ts';
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
 * @param context receives the times of the start, the first and the last token, the token counts and finish reasons
 * @throws ServiceError when a sequence fails or is aborted, which fails the whole answer
 */
export async function* choiceDeltas(
  events: AsyncIterable<GenerationEvent>,
  job: GenerationJob,
  context: RequestContext,
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
  const cached = new CachedTokens(job.bestOf);
  context.generatedTokens = 0;
  for await (const event of events) {
    const index = indexes.get(event.id)!;
    switch (event.type) {
      case 'started':
        context.startedAt ??= event.at;
        break;
      case 'scored':
        scores[index]?.push(...event.logprobs);
        break;
      case 'tokens': {
        const { text, tokens, logprobs, at } = event;
        context.firstTokenAt ??= at;
        context.lastTokenAt = at;
        context.generatedTokens += tokens.length;
        const promptLogprobs = takeScores(index);
        yield { index, text, tokens, logprobs, promptLogprobs, finishReason: null, stopReason: null };
        break;
      }
      case 'finished': {
        const { text, reason, stopReason, timings } = event;
        cached.take(index, timings.cachedTokens);
        context.cachedTokens = cached.total;
        context.generation?.finishReasons.push(reason);
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

/**
 * Counts the prompt tokens that were not computed for an answer. Each prompt counts once, as in `prompt_tokens`, with
 * the smallest number among its choices: the others reused tokens that were computed for this answer.
 */
export class CachedTokens {
  readonly #choices: number;
  readonly #byPrompt = new Map<number, number>();

  /** @param choices number of sequences per prompt; they have consecutive indexes */
  constructor(choices: number) {
    this.#choices = choices;
  }

  take(index: number, tokens: number): void {
    const prompt = Math.floor(index / this.#choices);
    this.#byPrompt.set(prompt, Math.min(tokens, this.#byPrompt.get(prompt) ?? tokens));
  }

  get total(): number {
    return [...this.#byPrompt.values()].reduce((sum, tokens) => sum + tokens, 0);
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
