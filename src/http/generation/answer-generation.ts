import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RequestLife } from '../../observability/request-life.ts';
import { errorBody, toServiceError } from '../errors/error-response.ts';
import { writeInTurns } from '../json/in-turns.ts';
import { ServerSentEvents } from '../json/server-sent-events.ts';
import type { ServerDependencies } from '../server-dependencies.ts';
import { type AnswerFormat, answerUsage, type RequestMetrics, requestMetrics } from './answer-parts.ts';
import { bestChoices, type ChoiceDelta, choiceDeltas, collectChoices } from './choice-deltas.ts';
import type { GenerationFields } from './generation-fields.ts';
import type { GenerationJob } from './generation-job.ts';

function usageReports({ stream_options: options }: GenerationFields): UsageReports {
  if (!options?.include_usage) return 'none';
  return options.continuous_usage_stats ? 'continuous' : 'end';
}

interface AnswerParts {
  job: GenerationJob;
  format: AnswerFormat;
  fields: GenerationFields;
  /** Aborts when the client leaves. */
  gone: AbortSignal;
}

/** Runs the job and answers in `format`, whole or streamed, until the client leaves. */
export async function answerGeneration(
  request: FastifyRequest,
  reply: FastifyReply,
  { job, format, fields, gone }: AnswerParts,
  { engine, clock, config }: Pick<ServerDependencies, 'engine' | 'clock' | 'config'>,
): Promise<FastifyReply> {
  const { life } = request;
  life.completionId = job.id;
  life.queuedAt = job.queuedAt;
  life.promptTokens = job.promptTokens;
  life.choicesPerPrompt = job.bestOf;
  const events = engine.generate(job.requests, gone);
  life.sequences = events.lives;
  const deltas = choiceDeltas(events, job);
  const metrics = fields.return_metrics ? () => requestMetrics(life, clock()) : null;
  if (fields.stream) {
    const usage = usageReports(fields);
    const bufferLimit = config.streamBuffer;
    await streamAnswer(reply, { format, deltas, usage, metrics, life, gone, bufferLimit });
    return reply;
  }
  const choices = bestChoices(await collectChoices(deltas, job), job);
  const whole = await format.whole(choices, answerUsage(life));
  const answer = { ...whole, ...(metrics ? { metrics: metrics() } : {}) };
  const { bytes } = await writeInTurns(answer);
  return reply.type('application/json; charset=utf-8').send(bytes);
}

/** `end`: in a separate last chunk; `continuous`: also in every other chunk. */
type UsageReports = 'none' | 'end' | 'continuous';

interface StreamedAnswer {
  format: AnswerFormat;
  deltas: ReturnType<typeof choiceDeltas>;
  usage: UsageReports;
  /** For the whole request, sent in the last chunk; null if not requested. */
  metrics: (() => RequestMetrics) | null;
  life: RequestLife;
  gone: AbortSignal;
  /** Maximum bytes that may wait for the client. */
  bufferLimit: number;
}

/**
 * Sends each delta as it arrives. The first one sends the status too, so a failure before it is an ordinary error.
 * @throws ServiceError before anything is sent
 */
async function streamAnswer(reply: FastifyReply, answer: StreamedAnswer): Promise<void> {
  const { format, deltas, usage, metrics, life, gone, bufferLimit } = answer;
  const head = JSON.stringify(format.head).slice(0, -1);
  /** Tokens in the chunks so far; more may already be generated. */
  let sentTokens = 0;
  const usageField = () => {
    if (usage === 'none') return '';
    return usage === 'end' ? ',"usage":null' : `,"usage":${JSON.stringify(answerUsage(life, sentTokens))}`;
  };

  const first = await deltas.next();
  reply.hijack();
  const stream = new ServerSentEvents(reply.raw, reply.getHeaders() as OutgoingHttpHeaders, {
    gone,
    bufferLimit,
    onSlow: () => {
      life.isSlowReader = true;
    },
  });
  const send = async (delta: ChoiceDelta) => {
    sentTokens += delta.tokens.length;
    for (const choices of await format.choices(delta)) {
      stream.send(`${head},"choices":[${choices}]${usageField()}}`);
    }
  };
  try {
    if (!first.done) await send(first.value);
    for await (const delta of deltas) await send(delta);
    const last = {
      ...(usage === 'none' ? {} : { usage: answerUsage(life) }),
      ...(metrics ? { metrics: metrics() } : {}),
    };
    if (Object.keys(last).length > 0) {
      stream.send(JSON.stringify({ ...format.head, choices: [], ...last }));
    }
  } catch (error) {
    if (gone.aborted) return;
    const refusal = toServiceError(error);
    life.errorCode = refusal.code;
    if (refusal.status === 500) reply.log.error({ err: error }, 'a stream ended in an error');
    stream.send(JSON.stringify(errorBody(refusal)));
  }
  stream.end();
}
