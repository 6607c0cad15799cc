import type { ServerResponse } from 'node:http';
import type { FastifyRequest } from 'fastify';
import type { TextOwner } from '../../catalog/texts/text-workers.ts';
import type { GenerationTrace } from '../../observability/generation-spans.ts';
import { type Attributes, double } from '../../observability/otlp-span.ts';
import type { GenerationFields } from '../generation/generation-fields.ts';
import type { ServerDependencies } from '../server-dependencies.ts';

/** The owner of a request's text. @param signal aborts when the client leaves */
export const textOwner = (
  { context }: FastifyRequest,
  model: string,
  signal: AbortSignal,
  { config, clock }: Pick<ServerDependencies, 'config' | 'clock'>,
): TextOwner => ({
  client: context.client,
  model,
  signal,
  waitMs: context.arrivedAt + config.queueTimeoutMs - clock(),
});

/** What the access log and the metrics need to know about a request, filled in as it becomes known. */
export interface RequestContext {
  /** On the shared clock, milliseconds. */
  arrivedAt: number;
  /** Whose request it is, for fair sharing and limits; the empty string if that does not matter. */
  client: string;
  /** The name of its API key; null if none is needed or the key is unknown. */
  keyName: string | null;
  /** The client's address, as trusted proxies report it. */
  address: string;
  /** The served model's name. */
  model: string | null;
  completionId: string | null;
  /** What traces need in addition; only for generation requests. */
  generation: {
    operation: 'text_completion' | 'chat';
    parameters: Attributes;
    finishReasons: string[];
  } | null;
  promptTokens: number | null;
  generatedTokens: number | null;
  /** Prompt tokens that were not computed anew. */
  cachedTokens: number;
  /** When its sequences joined the queue, on the shared clock. */
  queuedAt: number | null;
  /** When the first sequence got a slot, and when the first and the latest token came; on the shared clock. */
  startedAt: number | null;
  firstTokenAt: number | null;
  lastTokenAt: number | null;
  errorCode: string | null;
  /** The client read its stream too slowly and was cut off. */
  isSlowReader: boolean;
}

declare module 'fastify' {
  interface FastifyRequest {
    context: RequestContext;
  }
}

export function newContext(arrivedAt: number, address: string): RequestContext {
  return {
    arrivedAt,
    client: '',
    keyName: null,
    address,
    model: null,
    completionId: null,
    generation: null,
    promptTokens: null,
    generatedTokens: null,
    cachedTokens: 0,
    queuedAt: null,
    startedAt: null,
    firstTokenAt: null,
    lastTokenAt: null,
    errorCode: null,
    isSlowReader: false,
  };
}

/** The route's pattern, not the requested path: their number is bounded, so it can be a metric label. */
export const routeOf = (request: FastifyRequest): string => request.routeOptions.url ?? 'none';

/** Aborts when the connection closes before the answer is complete. */
export function clientGone(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  const check = () => {
    if (!response.writableEnded) controller.abort(new Error('the client closed the connection'));
  };
  if (response.closed || response.socket?.destroyed) check();
  else response.once('close', check);
  return controller.signal;
}

/** A request's parameters, under the names of OpenTelemetry's GenAI conventions. */
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

/** @returns null unless the request asked a known model for text */
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
