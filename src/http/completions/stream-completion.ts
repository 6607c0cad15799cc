import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';
import { errorBody, toServiceError } from '../error-response.ts';
import type { RequestContext } from '../request-context.ts';
import { ServerSentEvents } from '../server-sent-events.ts';
import type { ChoiceDelta, choiceDeltas } from './choice-deltas.ts';
import { choiceOf, completionHead, completionUsage } from './completion-body.ts';
import type { CompletionJob } from './completion-job.ts';

/** `end`: in a chunk of its own at the end; `continuous`: in every chunk as well. */
export type UsageReports = 'none' | 'end' | 'continuous';

export interface StreamedCompletion {
  job: CompletionJob;
  deltas: ReturnType<typeof choiceDeltas>;
  usage: UsageReports;
  context: RequestContext;
  gone: AbortSignal;
}

/**
 * Sends each addition as it comes. The status goes out with the first one: what fails before it is an ordinary error.
 * @throws ServiceError before anything is sent
 */
export async function streamCompletion(reply: FastifyReply, completion: StreamedCompletion): Promise<void> {
  const { job, deltas, usage, context, gone } = completion;
  const head = completionHead(job);
  const chunkOf = (delta: ChoiceDelta) => ({
    ...head,
    choices: [choiceOf(delta)],
    ...(usage === 'none' ? {} : { usage: usage === 'continuous' ? completionUsage(job, context) : null }),
  });

  const first = await deltas.next();
  reply.hijack();
  const stream = new ServerSentEvents(reply.raw, reply.getHeaders() as OutgoingHttpHeaders, gone);
  try {
    if (!first.done) await stream.send(chunkOf(first.value));
    for await (const delta of deltas) await stream.send(chunkOf(delta));
    if (usage !== 'none') await stream.send({ ...head, choices: [], usage: completionUsage(job, context) });
  } catch (error) {
    if (gone.aborted) return;
    const refusal = toServiceError(error);
    context.errorCode = refusal.code;
    if (refusal.status === 500) reply.log.error({ err: error }, 'a stream ended in an error');
    await stream.send(errorBody(refusal));
  }
  await stream.end();
}
