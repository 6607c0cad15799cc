import type { FinishReason, GenerationEvent } from '../../engine/generation.ts';
import { ServiceError } from '../../errors.ts';
import type { RequestContext } from '../request-context.ts';
import type { CompletionLogprobs } from '../schemas/completion-response.ts';
import type { CompletionJob } from './completion-job.ts';
import { LogprobsWriter } from './logprobs-writer.ts';

/** What is new of one choice. */
export interface ChoiceDelta {
  /** The choice's. */
  index: number;
  text: string;
  logprobs: CompletionLogprobs | null;
  finishReason: FinishReason | null;
  stopReason: string | number | null;
}

/**
 * The engine's events as additions to choices; those that add nothing are left out.
 * @param context told when generation starts, when the first token comes and how many there are
 * @throws ServiceError when a sequence fails or is given up, and with it the whole completion
 */
export async function* choiceDeltas(
  events: AsyncIterable<GenerationEvent>,
  job: CompletionJob,
  context: RequestContext,
): AsyncGenerator<ChoiceDelta, void, undefined> {
  const indexes = new Map(job.requests.map(({ id }, index) => [id, index]));
  const writers = job.requests.map((request) => new LogprobsWriter(job.model, request.skipSpecialTokens));
  context.generatedTokens = 0;
  for await (const event of events) {
    const index = indexes.get(event.id)!;
    switch (event.type) {
      case 'started':
        context.startedAt ??= event.at;
        break;
      case 'tokens': {
        context.firstTokenAt ??= event.at;
        context.generatedTokens += event.tokens.length;
        const logprobs = event.logprobs ? writers[index]!.write(event.tokens, event.logprobs) : null;
        if (event.text !== '' || logprobs) {
          yield { index, text: event.text, logprobs, finishReason: null, stopReason: null };
        }
        break;
      }
      case 'finished':
        yield {
          index,
          text: event.text,
          logprobs: null,
          finishReason: event.reason,
          stopReason: event.stopReason,
        };
        break;
      case 'failed':
        throw new ServiceError(event.code, event.message);
      case 'aborted':
        throw new ServiceError('shutting_down', 'The service stopped before the completion was finished.');
    }
  }
}
