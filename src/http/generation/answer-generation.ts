import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { errorBody, toServiceError } from '../errors/error-response.ts';
import { writeInTurns } from '../json/in-turns.ts';
import { ServerSentEvents } from '../json/server-sent-events.ts';
import type { RequestContext } from '../requests/request-context.ts';
import type { ServerDependencies } from '../server-dependencies.ts';
import type { RequestMetrics, Usage } from './answer-parts.ts';
import { type ChoiceDelta, choiceDeltas, collectChoices, type WholeChoice } from './choice-deltas.ts';
import type { GenerationFields } from './generation-fields.ts';
import type { GenerationJob } from './generation-job.ts';

/** How an API writes generated text. Each answer has its own instance, which may keep state. */
export interface AnswerFormat {
  /** The whole answer, not streamed. */
  whole(choices: readonly WholeChoice[], usage: Usage): Promise<object>;
  /** The chunks for one delta: the entry of each in `choices`, as JSON. */
  choices(delta: ChoiceDelta): Promise<string[]>;
  /** The fields that every chunk begins with. */
  readonly head: object;
}

/** The fields that all chunks of an answer share. */
export function answerHead<T extends string>({ id, created, model }: GenerationJob, object: T) {
  return {
    id,
    object,
    created,
    model: model.name,
    system_fingerprint: `fp_${model.manifest.digest.replace(/^sha256:/, '').slice(0, 12)}`,
  };
}

function answerUsage({ promptTokens, generatedTokens, cachedTokens }: RequestContext): Usage {
  const prompt = promptTokens ?? 0;
  const completion = generatedTokens ?? 0;
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}

const round = (value: number) => Math.round(value * 1000) / 1000;

/** @param sequences number of sequences generated together. @param now on the shared clock, ms */
function requestMetrics(context: RequestContext, sequences: number, now: number): RequestMetrics {
  const { arrivedAt, queuedAt, startedAt, firstTokenAt, lastTokenAt } = context;
  const tokens = context.generatedTokens ?? 0;
  const between = (from: number | null, to: number | null) =>
    from === null || to === null ? null : round(to - from);
  const generation = between(firstTokenAt, lastTokenAt);
  const running = between(startedAt, lastTokenAt);
  const gaps = tokens - sequences;
  return {
    queue_time_ms: between(queuedAt, startedAt),
    time_to_first_token_ms: between(arrivedAt, firstTokenAt),
    generation_time_ms: generation,
    // Sequences run in parallel, so their gaps add up to about `sequences` times the elapsed time.
    mean_itl_ms: generation === null || gaps <= 0 ? null : round((generation * sequences) / gaps),
    total_time_ms: round(now - arrivedAt),
    tokens_per_second: running === null || running <= 0 ? null : round((1000 * tokens) / running),
  };
}

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

/** Mean over the tokens; 0, the best possible value, for a choice without tokens. */
function meanLogprob({ logprobs }: WholeChoice): number {
  if (!logprobs || logprobs.length === 0) return 0;
  return logprobs.reduce((sum, { logprob }) => sum + logprob, 0) / logprobs.length;
}

/**
 * For each prompt, the `n` of its `bestOf` choices with the highest mean log probability, best first. Ties keep their
 * order. If `n` equals `bestOf`, returns all choices in their order.
 */
function bestChoices(
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

/** `end`: in a separate last chunk; `continuous`: also in every other chunk. */
type UsageReports = 'none' | 'end' | 'continuous';

interface StreamedAnswer {
  format: AnswerFormat;
  deltas: ReturnType<typeof choiceDeltas>;
  usage: UsageReports;
  /** For the whole request, sent in the last chunk; null if not requested. */
  metrics: (() => RequestMetrics) | null;
  context: RequestContext;
  gone: AbortSignal;
  /** Maximum bytes that may wait for the client. */
  bufferLimit: number;
}

/**
 * Sends each delta as it arrives. The first one sends the status too, so a failure before it is an ordinary error.
 * @throws ServiceError before anything is sent
 */
async function streamAnswer(reply: FastifyReply, answer: StreamedAnswer): Promise<void> {
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
