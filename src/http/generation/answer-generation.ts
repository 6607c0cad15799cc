import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { GenerationEvent } from '../../engine/protocol/generation.ts';
import { ServiceError } from '../../errors.ts';
import type { RequestLife } from '../../observability/request-life.ts';
import type { PromptTokenLogprobs } from '../../sampling/sampled-token.ts';
import { toServiceError } from '../errors/error-response.ts';
import { writeInTurns } from '../json/in-turns.ts';
import { ServerSentEvents } from '../json/server-sent-events.ts';
import type { ServerDependencies } from '../server-dependencies.ts';
import type { AnswerFormat, ChoiceDelta } from './answer-parts.ts';
import type { GenerationJob } from './generation-job.ts';

interface AnswerParts {
  job: GenerationJob;
  format: AnswerFormat;
  isStreamed: boolean;
  /** Aborts when the client leaves. */
  gone: AbortSignal;
}

/** Runs the job and answers in `format`, whole or streamed, until the client leaves. */
export async function answerGeneration(
  request: FastifyRequest,
  reply: FastifyReply,
  { job, format, isStreamed, gone }: AnswerParts,
  { engine, config }: Pick<ServerDependencies, 'engine' | 'config'>,
): Promise<FastifyReply> {
  const { life } = request;
  life.completionId = job.id;
  life.queuedAt = job.requests[0]!.queuedAt;
  life.promptTokens = job.promptTokens;
  life.choicesPerPrompt = job.bestOf;
  const events = engine.generate(job.requests, gone);
  life.sequences = events.lives;
  const deltas = choiceDeltas(events, job);
  if (isStreamed) {
    await streamAnswer(reply, { format, deltas, life, gone, config });
    return reply;
  }
  const { bytes } = await writeInTurns(await format.whole(deltas, life));
  return reply.type('application/json; charset=utf-8').send(bytes);
}

interface StreamedAnswer {
  format: AnswerFormat;
  deltas: ReturnType<typeof choiceDeltas>;
  life: RequestLife;
  gone: AbortSignal;
  config: Pick<ServerDependencies['config'], 'streamBuffer' | 'streamIntervalMs'>;
}

/**
 * Sends each delta as it arrives. The first one sends the status too, so a failure before it is an ordinary error.
 * @throws ServiceError before anything is sent
 */
async function streamAnswer(
  reply: FastifyReply,
  { format, deltas, life, gone, config }: StreamedAnswer,
): Promise<void> {
  const first = await deltas.next();
  reply.hijack();
  const stream = new ServerSentEvents(reply.raw, reply.getHeaders() as OutgoingHttpHeaders, {
    gone,
    bufferLimit: config.streamBuffer,
    intervalMs: config.streamIntervalMs,
    onSlow: () => {
      life.isSlowReader = true;
    },
  });
  const send = async (delta: ChoiceDelta) => {
    for (const event of await format.events(delta, life)) stream.send(event);
  };
  try {
    if (!first.done) await send(first.value);
    for await (const delta of deltas) await send(delta);
    stream.end(await format.lastEvents(life));
  } catch (error) {
    if (gone.aborted) return;
    const refusal = toServiceError(error);
    life.errorCode = refusal.code;
    if (refusal.status === 500) reply.log.error({ err: error }, 'a stream ended in an error');
    stream.end(await format.failure(refusal, life));
  }
}

/**
 * Turns the engine's events into deltas of choices.
 * @throws ServiceError when a sequence fails or is aborted, which fails the whole answer
 */
async function* choiceDeltas(
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
