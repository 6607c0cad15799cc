import type { FastifyRequest } from 'fastify';
import type { Attributes } from '../observability/otlp-span.ts';

/** What the access log and the metrics will want to know of a request, filled in as it becomes known. */
export interface RequestContext {
  /** On the shared clock, milliseconds. */
  arrivedAt: number;
  /** Whose request it is, to share out and to limit by; the empty string where that does not matter. */
  client: string;
  /** The name of its API key; null where none was needed, or it is not known. */
  keyName: string | null;
  /** Of the client, as trusted proxies report it. */
  address: string;
  /** The served model's name. */
  model: string | null;
  completionId: string | null;
  /** Of a request for text, what traces want to know beside. */
  generation: {
    operation: 'text_completion' | 'chat';
    parameters: Attributes;
    finishReasons: string[];
  } | null;
  promptTokens: number | null;
  generatedTokens: number | null;
  /** Of the prompts' tokens, those not computed anew. */
  cachedTokens: number;
  /** When its sequences joined the queue, on the shared clock. */
  queuedAt: number | null;
  /** When the first sequence got a slot, when the first token came and the last one so far; on the shared clock. */
  startedAt: number | null;
  firstTokenAt: number | null;
  lastTokenAt: number | null;
  errorCode: string | null;
  /** The client did not read its stream and was cut off. */
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

/** The route's pattern, not the path asked for: bounded, so fit for a label. */
export const routeOf = (request: FastifyRequest): string => request.routeOptions.url ?? 'none';
