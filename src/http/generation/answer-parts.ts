import Type from 'typebox';
import { tokenText } from '../../catalog/tokenizer/vocabulary.ts';
import type { FinishReason } from '../../engine/protocol/generation.ts';
import type { ServiceError } from '../../errors.ts';
import { between, type RequestLife } from '../../observability/request-life.ts';
import type { PromptTokenLogprobs, TokenLogprobs } from '../../sampling/sampled-token.ts';
import type { ServerSentEvent } from '../json/server-sent-events.ts';
import type { ReadyModel } from '../models/find-model.ts';
import { nullable } from '../schema-field.ts';
import type { GenerationJob } from './generation-job.ts';

/** The new part of one choice. */
export interface ChoiceDelta {
  /** Index of the sequence within its job. */
  index: number;
  text: string;
  tokens: readonly number[];
  logprobs: readonly TokenLogprobs[] | null;
  /** Those of all tokens that the decoder is given, if requested; only in the choice's first delta. */
  promptLogprobs: readonly (PromptTokenLogprobs | null)[] | null;
  finishReason: FinishReason | null;
  stopReason: string | number | null;
}

/** How an API writes generated text. Each answer has its own instance, which may keep state. */
export interface AnswerFormat {
  /** The whole answer, not streamed. @throws ServiceError if reading the deltas does */
  whole(deltas: AsyncIterable<ChoiceDelta>, life: RequestLife): Promise<object>;
  /** The events of a stream for its next delta. */
  events(delta: ChoiceDelta, life: RequestLife): Promise<ServerSentEvent[]>;
  /** The events after the last delta. */
  lastEvents(life: RequestLife): Promise<ServerSentEvent[]>;
  /** The last events of a stream that fails. */
  failure(error: ServiceError, life: RequestLife): Promise<ServerSentEvent[]>;
}

/** Token counts of an answer, the same for completions and chat. */
export const UsageSchema = Type.Object({
  prompt_tokens: Type.Integer({ description: 'Tokens of all prompts, each prompt counted once.' }),
  completion_tokens: Type.Integer({
    description: 'Tokens of all choices, including those that `best_of` discards.',
  }),
  total_tokens: Type.Integer(),
  prompt_tokens_details: Type.Object({
    cached_tokens: Type.Integer({
      description:
        'Tokens that were not computed again, because an earlier request began with the same ones.',
    }),
  }),
  completion_tokens_details: Type.Object({
    reasoning_tokens: Type.Integer(),
    accepted_prediction_tokens: Type.Integer({
      description: 'Tokens that prompt lookup or a draft guessed rightly, so that each saved a step.',
    }),
    rejected_prediction_tokens: Type.Integer({ description: 'Tokens that they guessed wrongly.' }),
  }),
});

const milliseconds = (description: string) =>
  nullable(Type.Number({ description: `Milliseconds. ${description}` }));

export const RequestMetricsSchema = Type.Object(
  {
    queue_time_ms: milliseconds('From when the prompt was tokenized until the first sequence got a slot.'),
    time_to_first_token_ms: milliseconds('From arrival to the first token.'),
    generation_time_ms: milliseconds('From the first token to the last.'),
    mean_itl_ms: milliseconds('Mean gap between two tokens of a sequence.'),
    total_time_ms: milliseconds('From arrival to the end.'),
    tokens_per_second: nullable(
      Type.Number({
        description: 'Tokens of all sequences, divided by the time from the first slot to the last token.',
      }),
    ),
  },
  { description: 'With `return_metrics`.' },
);

/** How a choice ended. */
export const ending = {
  finish_reason: nullable(Type.Unsafe<FinishReason>({ type: 'string', enum: ['stop', 'length'] })),
  stop_reason: Type.Union([Type.String(), Type.Integer(), Type.Null()], {
    description:
      'The stop text or stop token id that matched; null if the model ended the text itself or the length limit was reached.',
  }),
};

export const tokenIds = (description: string) => Type.Optional(Type.Array(Type.Integer(), { description }));

/** Fields of the whole answer. */
export const head = {
  created: Type.Integer({ description: 'Seconds since the epoch.' }),
  model: Type.String(),
  system_fingerprint: Type.String({ description: 'Changes with the model’s weights.' }),
};

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

export type Usage = Type.Static<typeof UsageSchema>;

/** @param generated the tokens to count, by default all */
export function answerUsage(life: RequestLife, generated = life.generatedTokens ?? 0): Usage {
  const prompt = life.promptTokens ?? 0;
  return {
    prompt_tokens: prompt,
    completion_tokens: generated,
    total_tokens: prompt + generated,
    prompt_tokens_details: { cached_tokens: life.cachedTokens },
    completion_tokens_details: {
      reasoning_tokens: 0,
      accepted_prediction_tokens: life.guesses.right,
      rejected_prediction_tokens: life.guesses.wrong,
    },
  };
}

export type RequestMetrics = Type.Static<typeof RequestMetricsSchema>;

/** @param now on the shared clock, ms */
export function requestMetrics(life: RequestLife, now: number): RequestMetrics {
  const { arrivedAt, queuedAt, startedAt, firstTokenAt, lastTokenAt } = life;
  const tokens = life.generatedTokens ?? 0;
  const generation = between(firstTokenAt, lastTokenAt);
  const running = between(startedAt, lastTokenAt);
  const sequences = life.sequences.length;
  const gaps = tokens - sequences;
  return {
    queue_time_ms: between(queuedAt, startedAt),
    time_to_first_token_ms: between(arrivedAt, firstTokenAt),
    generation_time_ms: generation,
    // Sequences run in parallel, so their gaps add up to about `sequences` times the elapsed time.
    mean_itl_ms: generation === null || gaps <= 0 ? null : round((generation * sequences) / gaps),
    total_time_ms: between(arrivedAt, now),
    tokens_per_second: running === null || running <= 0 ? null : round((1000 * tokens) / running),
  };
}

const round = (value: number) => Math.round(value * 1000) / 1000;

/** The lowest log probability in answers, because JSON has no −∞. */
const floor = -9999;

/** A log probability as answers contain it. */
export const finite = (logprob: number): number => Math.max(floor, logprob);

const tokenLogprob = {
  token: Type.String({
    description: 'Bytes that do not form a whole character are written as `bytes:\\xe2`.',
  }),
  bytes: Type.Array(Type.Integer()),
  logprob: Type.Number({ description: 'At least -9999.' }),
};

/** A token with its log probability, as chats and responses write it. */
export const TokenLogprobSchema = Type.Object({
  ...tokenLogprob,
  top_logprobs: Type.Array(Type.Object(tokenLogprob)),
});

export type TokenLogprob = Type.Static<typeof TokenLogprobSchema>;

/** The text of each single token, decoded once for an answer that contains it many times. */
export class TokenTexts {
  readonly #vocabulary: Pick<ReadyModel['vocabulary'], 'tokenBytes'>;
  readonly #texts = new Map<number, string>();

  constructor(vocabulary: Pick<ReadyModel['vocabulary'], 'tokenBytes'>) {
    this.#vocabulary = vocabulary;
  }

  of(token: number): string {
    const known = this.#texts.get(token);
    if (known !== undefined) return known;
    const text = tokenText(this.#vocabulary.tokenBytes(token));
    this.#texts.set(token, text);
    return text;
  }

  /** A token with its log probability. */
  scored(token: number, { logprob, top }: TokenLogprobs): TokenLogprob {
    const entry = (token: number, logprob: number) => ({
      token: this.of(token),
      bytes: [...this.#vocabulary.tokenBytes(token)],
      logprob: finite(logprob),
    });
    return { ...entry(token, logprob), top_logprobs: top.map((other) => entry(other.token, other.logprob)) };
  }
}
