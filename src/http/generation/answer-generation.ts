import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { GenerationEvent } from '../../engine/protocol/generation.ts';
import { ServiceError } from '../../errors.ts';
import type { RequestLife } from '../../observability/request-life.ts';
import type { PromptTokenLogprobs } from '../../sampling/sampled-token.ts';
import { errorBody, toServiceError } from '../errors/error-response.ts';
import { writeInTurns } from '../json/in-turns.ts';
import { ServerSentEvents } from '../json/server-sent-events.ts';
import type { ServerDependencies } from '../server-dependencies.ts';
import {
  type AnswerFormat,
  answerUsage,
  type ChoiceDelta,
  type RequestMetrics,
  requestMetrics,
  type WholeChoice,
} from './answer-parts.ts';
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
  life.queuedAt = job.requests[0]!.queuedAt;
  life.promptTokens = job.promptTokens;
  life.choicesPerPrompt = job.bestOf;
  const events = engine.generate(job.requests, gone);
  life.sequences = events.lives;
  const deltas = choiceDeltas(events, job);
  const metrics = fields.return_metrics ? () => requestMetrics(life, clock()) : null;
  if (fields.stream) {
    const usage = usageReports(fields);
    await streamAnswer(reply, { format, deltas, usage, metrics, life, gone, config });
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
  config: Pick<ServerDependencies['config'], 'streamBuffer' | 'streamIntervalMs'>;
}

/**
 * Sends each delta as it arrives. The first one sends the status too, so a failure before it is an ordinary error.
 * @throws ServiceError before anything is sent
 */
async function streamAnswer(reply: FastifyReply, answer: StreamedAnswer): Promise<void> {
  const { format, deltas, usage, metrics, life, gone, config } = answer;
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
    bufferLimit: config.streamBuffer,
    intervalMs: config.streamIntervalMs,
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
      default:
        refuseBroken(event);
    }
  }
}

/** @throws ServiceError when the event says that a request failed or was aborted, which fails the whole answer */
export function refuseBroken(event: GenerationEvent): void {
  if (event.type === 'failed') throw new ServiceError(event.code, event.message);
  if (event.type === 'aborted')
    throw new ServiceError('shutting_down', 'The service stopped before the answer was finished.');
}

/** Waits for all sequences. @returns one choice for each, in the job's order */
async function collectChoices(
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
