import type { RequestContext } from '../request-context.ts';
import type { RequestMetrics, Usage } from '../schemas/answer-parts.ts';

export function answerUsage({ promptTokens, generatedTokens, cachedTokens }: RequestContext): Usage {
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

/** @param sequences how many were generated together. @param now on the shared clock, ms */
export function requestMetrics(context: RequestContext, sequences: number, now: number): RequestMetrics {
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
    // Sequences run side by side, so their gaps add up to about as many times the time that passed.
    mean_itl_ms: generation === null || gaps <= 0 ? null : round((generation * sequences) / gaps),
    total_time_ms: round(now - arrivedAt),
    tokens_per_second: running === null || running <= 0 ? null : round((1000 * tokens) / running),
  };
}
