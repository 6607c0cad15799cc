import { eachSamplingNumber } from '../../src/sampling/sampling-request.ts';

/** A bad request for a completion, and the field its refusal must name. */
export interface BadRequest {
  what: string;
  body: Record<string, unknown>;
  param: string;
}

const bad = (param: string, ...bodies: Record<string, unknown>[]): BadRequest[] =>
  bodies.map((body) => ({ what: JSON.stringify(body).slice(0, 80), body, param }));

const outOfRange = Object.values(
  eachSamplingNumber(({ field, minimum, exclusiveMinimum, maximum }) => [
    ...(minimum === undefined ? [] : bad(field, { [field]: minimum - 1 })),
    ...(exclusiveMinimum === undefined ? [] : bad(field, { [field]: exclusiveMinimum })),
    ...(maximum === undefined ? [] : bad(field, { [field]: maximum + 1 })),
  ]),
).flat();

const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`unknown${i}`, 'x'.repeat(40)]));

/** Requests that vLLM answers with 400, and bodies designed to cause a large or slow answer. */
export const badRequests: readonly BadRequest[] = [
  ...bad('n', { n: 0 }, { n: -1 }, { n: 16_385 }, { n: 2, temperature: 0 }),
  ...outOfRange,
  ...bad('max_tokens', { max_tokens: 0 }, { max_tokens: -1 }),
  ...bad('min_tokens', { min_tokens: -1 }, { min_tokens: 9, max_tokens: 8 }),
  ...bad('logprobs', { logprobs: -1 }, { logprobs: 1000 }),
  ...bad('prompt_logprobs', { prompt_logprobs: -2 }, { prompt_logprobs: 1, stream: true }),
  ...bad('stop', { stop: '' }, { stop: ['a', ''] }),
  ...bad('logit_bias', { logit_bias: { 99999999: 1 } }, { logit_bias: { 5: 101 } }),
  ...bad('allowed_token_ids', { allowed_token_ids: [] }, { allowed_token_ids: [99_999_999] }),
  ...bad('stream_options', { stream_options: { include_usage: true } }),
  ...bad('prompt', { prompt: '' }, { prompt: [] }, { prompt: [[]] }, { prompt: null }),
  ...bad('use_beam_search', { use_beam_search: true, stream: true }),
  ...bad('structured_outputs', { structured_outputs: { json: { type: 'object' }, regex: 'a+' } }),
  ...bad('suffix', { suffix: 'x' }),
  ...bad('max_tokens', { max_tokens: 1_000_000 }),
  ...bad('prompt', { prompt: 'word '.repeat(20_000) }, { prompt: 'x'.repeat(900_000) }),
  ...bad('prompt', { prompt: Array.from({ length: 100_000 }, () => 5) }),
  ...bad('unknown0', many),
  ...bad('stop', { stop: Array.from({ length: 10_000 }, () => '\u0000') }),
];
