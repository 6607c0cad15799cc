import type { FinishReason, GenerationEvent } from '../../engine/generation.ts';
import { ServiceError } from '../../errors.ts';
import type { PromptTokenLogprobs, TokenLogprobs } from '../../sampling/sampled-token.ts';
import type { RequestContext } from '../request-context.ts';
import { CachedTokens } from './cached-tokens.ts';
import type { GenerationJob } from './generation-job.ts';

/** What is new of one choice. */
export interface ChoiceDelta {
  /** Of the sequence in the job. */
  index: number;
  text: string;
  tokens: readonly number[];
  logprobs: readonly TokenLogprobs[] | null;
  /** With the choice's first addition, where asked for: of all the prompt's tokens. */
  promptLogprobs: readonly (PromptTokenLogprobs | null)[] | null;
  finishReason: FinishReason | null;
  stopReason: string | number | null;
}

/**
 * The engine's events as additions to choices.
 * @param context told when generation starts, of the first and the last token and of how many there are
 * @throws ServiceError when a sequence fails or is given up, and with it the whole answer
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
