import type { FastifyReply, FastifyRequest } from 'fastify';
import { writeInTurns } from '../in-turns.ts';
import type { GenerationFields } from '../schemas/generation-fields.ts';
import type { ServerDependencies } from '../server-dependencies.ts';
import type { AnswerFormat } from './answer-format.ts';
import { answerUsage, requestMetrics } from './answer-usage.ts';
import { bestChoices } from './best-choices.ts';
import { choiceDeltas } from './choice-deltas.ts';
import { collectChoices } from './collect-choices.ts';
import type { GenerationJob } from './generation-job.ts';
import { streamAnswer, type UsageReports } from './stream-answer.ts';

function usageReports({ stream_options: options }: GenerationFields): UsageReports {
  if (!options?.include_usage) return 'none';
  return options.continuous_usage_stats ? 'continuous' : 'end';
}

export interface AnswerParts {
  job: GenerationJob;
  format: AnswerFormat;
  fields: GenerationFields;
  /** Aborts when the client leaves. */
  gone: AbortSignal;
}

/** Has the job done and answers in `format`, whole or as a stream, for as long as there is a client. */
export async function answerGeneration(
  request: FastifyRequest,
  reply: FastifyReply,
  { job, format, fields, gone }: AnswerParts,
  { engine, clock, config }: Pick<ServerDependencies, 'engine' | 'clock' | 'config'>,
): Promise<FastifyReply> {
  const { context } = request;
  context.completionId = job.id;
  context.queuedAt = job.queuedAt;
  context.promptTokens = job.promptTokens;
  const metrics = fields.return_metrics ? () => requestMetrics(context, job.requests.length, clock()) : null;
  const deltas = choiceDeltas(engine.generate(job.requests, gone), job, context);
  if (fields.stream) {
    const usage = usageReports(fields);
    const bufferLimit = config.streamBuffer;
    await streamAnswer(reply, { format, deltas, usage, metrics, context, gone, bufferLimit });
    return reply;
  }
  const choices = bestChoices(await collectChoices(deltas, job), job);
  const whole = await format.whole(choices, answerUsage(context));
  const answer = { ...whole, ...(metrics ? { metrics: metrics() } : {}) };
  const { bytes } = await writeInTurns(answer);
  return reply.type('application/json; charset=utf-8').send(bytes);
}
