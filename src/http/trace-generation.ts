import type { FastifyRequest } from 'fastify';
import type { GenerationTrace } from '../observability/generation-spans.ts';
import { type Attributes, double } from '../observability/otlp-span.ts';
import { routeOf } from './request-context.ts';
import type { GenerationFields } from './schemas/generation-fields.ts';

/** What a request asks for, by the names of OpenTelemetry's GenAI conventions. */
export function traceParameters(
  fields: GenerationFields & { max_tokens?: number | null; max_completion_tokens?: number | null },
): Attributes {
  return {
    max_tokens: fields.max_completion_tokens ?? fields.max_tokens ?? null,
    temperature: double(fields.temperature ?? null),
    top_p: double(fields.top_p ?? null),
    top_k: fields.top_k ?? null,
    seed: fields.seed ?? null,
    stop_sequences: typeof fields.stop === 'string' ? [fields.stop] : (fields.stop ?? null),
    stream: fields.stream ?? false,
    'choice.count': fields.n ?? 1,
    frequency_penalty: double(fields.frequency_penalty ?? null),
    presence_penalty: double(fields.presence_penalty ?? null),
  };
}

/** @returns null for a request that never came to be one for text of a model */
export function traceOf(request: FastifyRequest, status: number, endedAt: number): GenerationTrace | null {
  const { generation, model, completionId, ...context } = request.context;
  if (!generation || model === null) return null;
  const { traceparent } = request.headers;
  return {
    ...context,
    ...generation,
    model,
    requestId: request.id,
    traceparent: typeof traceparent === 'string' ? traceparent : undefined,
    route: routeOf(request),
    status,
    endedAt,
    responseId: completionId,
  };
}
