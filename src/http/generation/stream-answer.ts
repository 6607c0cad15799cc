import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';
import { errorBody, toServiceError } from '../error-response.ts';
import type { RequestContext } from '../request-context.ts';
import type { RequestMetrics } from '../schemas/answer-parts.ts';
import { ServerSentEvents } from '../server-sent-events.ts';
import type { AnswerFormat } from './answer-format.ts';
import { answerUsage } from './answer-usage.ts';
import type { ChoiceDelta, choiceDeltas } from './choice-deltas.ts';

/** `end`: in a chunk of its own at the end; `continuous`: in every chunk as well. */
export type UsageReports = 'none' | 'end' | 'continuous';

export interface StreamedAnswer {
  format: AnswerFormat;
  deltas: ReturnType<typeof choiceDeltas>;
  usage: UsageReports;
  /** Of the whole request, for the last chunk; null where not asked for. */
  metrics: (() => RequestMetrics) | null;
  context: RequestContext;
  gone: AbortSignal;
  /** Bytes that may wait for the client. */
  bufferLimit: number;
}

/**
 * Sends each addition as it comes. The status goes out with the first one: what fails before it is an ordinary error.
 * @throws ServiceError before anything is sent
 */
export async function streamAnswer(reply: FastifyReply, answer: StreamedAnswer): Promise<void> {
  const { format, deltas, usage, metrics, context, gone, bufferLimit } = answer;
  const head = JSON.stringify(format.head).slice(0, -1);
  const usageField = () => {
    if (usage === 'none') return '';
    return usage === 'end' ? ',"usage":null' : `,"usage":${JSON.stringify(answerUsage(context))}`;
  };

  const first = await deltas.next();
  reply.hijack();
  const stream = new ServerSentEvents(reply.raw, reply.getHeaders() as OutgoingHttpHeaders, {
    gone,
    bufferLimit,
    onSlow: () => {
      context.isSlowReader = true;
    },
  });
  const send = async (delta: ChoiceDelta) => {
    for (const choices of await format.choices(delta)) {
      stream.send(`${head},"choices":[${choices}]${usageField()}}`);
    }
  };
  try {
    if (!first.done) await send(first.value);
    for await (const delta of deltas) await send(delta);
    const last = {
      ...(usage === 'none' ? {} : { usage: answerUsage(context) }),
      ...(metrics ? { metrics: metrics() } : {}),
    };
    if (Object.keys(last).length > 0) {
      stream.send(JSON.stringify({ ...format.head, choices: [], ...last }));
    }
  } catch (error) {
    if (gone.aborted) return;
    const refusal = toServiceError(error);
    context.errorCode = refusal.code;
    if (refusal.status === 500) reply.log.error({ err: error }, 'a stream ended in an error');
    stream.send(JSON.stringify(errorBody(refusal)));
  }
  stream.end();
}
