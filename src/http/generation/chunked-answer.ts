import type { Clock } from '../../engine/protocol/clock.ts';
import type { ServiceError } from '../../errors.ts';
import type { RequestLife } from '../../observability/request-life.ts';
import { errorBody } from '../errors/error-response.ts';
import type { ServerSentEvent } from '../json/server-sent-events.ts';
import {
  type AnswerFormat,
  answerUsage,
  type ChoiceDelta,
  type RequestMetrics,
  requestMetrics,
  type Usage,
} from './answer-parts.ts';
import type { GenerationFields } from './generation-fields.ts';
import type { GenerationJob } from './generation-job.ts';

/** A complete choice. */
type WholeChoice = ChoiceDelta & {
  tokens: number[];
  logprobs: NonNullable<ChoiceDelta['logprobs']>[number][] | null;
};

/** How an API with choices writes them. */
export interface ChunkFormat {
  /** The whole answer, not streamed. */
  whole(choices: readonly WholeChoice[], usage: Usage): Promise<object>;
  /** The chunks for one delta: the entry of each in `choices`, as JSON. */
  choices(delta: ChoiceDelta): Promise<string[]>;
  /** The fields that every chunk begins with. */
  readonly head: object;
}

/** `end`: in a separate last chunk; `continuous`: also in every other chunk. */
type UsageReports = 'none' | 'end' | 'continuous';

function usageReports({ stream_options: options }: GenerationFields): UsageReports {
  if (!options?.include_usage) return 'none';
  return options.continuous_usage_stats ? 'continuous' : 'end';
}

/** Ends the streams of OpenAI's older APIs. */
const done = { data: '[DONE]' };

/** An answer with choices, streamed in chunks that each add to one of them. */
export class ChunkedAnswer implements AnswerFormat {
  readonly #format: ChunkFormat;
  readonly #job: GenerationJob;
  readonly #clock: Clock;
  readonly #usage: UsageReports;
  readonly #givesMetrics: boolean;
  readonly #head: string;
  /** Tokens in the chunks so far; more may already be generated. */
  #sentTokens = 0;

  constructor(format: ChunkFormat, job: GenerationJob, fields: GenerationFields, clock: Clock) {
    this.#format = format;
    this.#job = job;
    this.#clock = clock;
    this.#usage = usageReports(fields);
    this.#givesMetrics = fields.return_metrics ?? false;
    this.#head = JSON.stringify(format.head).slice(0, -1);
  }

  async whole(deltas: AsyncIterable<ChoiceDelta>, life: RequestLife): Promise<object> {
    const choices = bestChoices(await collectChoices(deltas, this.#job), this.#job);
    const whole = await this.#format.whole(choices, answerUsage(life));
    return { ...whole, ...this.#metrics(life) };
  }

  async events(delta: ChoiceDelta, life: RequestLife): Promise<ServerSentEvent[]> {
    this.#sentTokens += delta.tokens.length;
    const chunks = await this.#format.choices(delta);
    const usage = this.#usageField(life);
    return chunks.map((choices) => ({ data: `${this.#head},"choices":[${choices}]${usage}}` }));
  }

  async lastEvents(life: RequestLife): Promise<ServerSentEvent[]> {
    const last = {
      ...(this.#usage === 'none' ? {} : { usage: answerUsage(life) }),
      ...this.#metrics(life),
    };
    if (Object.keys(last).length === 0) return [done];
    return [{ data: JSON.stringify({ ...this.#format.head, choices: [], ...last }) }, done];
  }

  async failure(error: ServiceError): Promise<ServerSentEvent[]> {
    return [{ data: JSON.stringify(errorBody(error)) }, done];
  }

  #usageField(life: RequestLife): string {
    if (this.#usage === 'none') return '';
    const usage = this.#usage === 'end' ? null : answerUsage(life, this.#sentTokens);
    return `,"usage":${JSON.stringify(usage)}`;
  }

  #metrics(life: RequestLife): { metrics?: RequestMetrics } {
    return this.#givesMetrics ? { metrics: requestMetrics(life, this.#clock()) } : {};
  }
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
