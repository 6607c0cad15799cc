import { randomBytes } from 'node:crypto';
import { type Attributes, double, type OtlpSpan, spanAttributes, unixNano } from './otlp-span.ts';

/** A finished request for generated text. Moments are on the shared clock, in milliseconds. */
export interface GenerationTrace {
  operation: 'text_completion' | 'chat';
  model: string;
  requestId: string;
  /** The request's `traceparent` header. */
  traceparent: string | undefined;
  route: string;
  status: number;
  errorCode: string | null;
  /** The name of the API key. */
  keyName: string | null;
  /** The client's address. */
  address: string;
  arrivedAt: number;
  queuedAt: number | null;
  startedAt: number | null;
  firstTokenAt: number | null;
  lastTokenAt: number | null;
  endedAt: number;
  /** By their names in the conventions, without `gen_ai.request.`; never a prompt or a completion. */
  parameters: Attributes;
  responseId: string | null;
  finishReasons: readonly string[];
  promptTokens: number | null;
  generatedTokens: number | null;
  cachedTokens: number;
}

interface TraceParent {
  traceId: string;
  parentSpanId: string | null;
  isSampled: boolean;
}

const newId = (bytes: number) => randomBytes(bytes).toString('hex');

/** Reads W3C Trace Context, version 00; an invalid header starts a new trace. */
function readTraceparent(header: string | undefined): TraceParent {
  const match = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/.exec(header ?? '');
  if (!match) return { traceId: newId(16), parentSpanId: null, isSampled: true };
  const [, traceId, parentSpanId, flags] = match;
  return {
    traceId: traceId!,
    parentSpanId: parentSpanId!,
    isSampled: (Number.parseInt(flags!, 16) & 1) === 1,
  };
}

function attributesOf(trace: GenerationTrace): Attributes {
  const { firstTokenAt, arrivedAt, errorCode, status, finishReasons } = trace;
  return {
    'gen_ai.operation.name': trace.operation,
    'gen_ai.provider.name': 'altup-serve',
    'gen_ai.request.model': trace.model,
    'gen_ai.response.model': trace.model,
    ...Object.fromEntries(
      Object.entries(trace.parameters).map(([name, value]) => [`gen_ai.request.${name}`, value]),
    ),
    'gen_ai.response.id': trace.responseId,
    'gen_ai.response.finish_reasons': finishReasons.length === 0 ? null : finishReasons,
    'gen_ai.response.time_to_first_chunk': double(
      firstTokenAt === null ? null : (firstTokenAt - arrivedAt) / 1000,
    ),
    'gen_ai.usage.input_tokens': trace.promptTokens,
    'gen_ai.usage.output_tokens': trace.generatedTokens,
    'gen_ai.usage.cache_read.input_tokens': trace.cachedTokens,
    'http.request.method': 'POST',
    'http.route': trace.route,
    'http.response.status_code': status,
    'client.address': trace.address,
    'altup.client.name': trace.keyName,
    'altup.request.id': trace.requestId,
    'error.type': errorCode ?? (status >= 400 ? String(status) : null),
  };
}

/**
 * A request as a span by OpenTelemetry's GenAI conventions, with a child span for each stage it reached: prepare (its
 * text, its grammar), queue, prefill and decode.
 * @param clockOffset milliseconds from the shared clock to the time since the epoch
 * @returns no spans if the caller's trace is not sampled
 */
export function generationSpans(trace: GenerationTrace, clockOffset: number): OtlpSpan[] {
  const { traceId, parentSpanId, isSampled } = readTraceparent(trace.traceparent);
  if (!isSampled) return [];
  const spanId = newId(8);
  const time = (at: number) => unixNano(at + clockOffset);
  const { arrivedAt, queuedAt, startedAt, firstTokenAt, lastTokenAt, endedAt, errorCode, status } = trace;
  const whole: OtlpSpan = {
    traceId,
    spanId,
    ...(parentSpanId ? { parentSpanId } : {}),
    name: `${trace.operation} ${trace.model}`,
    kind: 2,
    startTimeUnixNano: time(arrivedAt),
    endTimeUnixNano: time(endedAt),
    attributes: spanAttributes(attributesOf(trace)),
    // By the conventions for servers, a client's fault is not an error of the span.
    status:
      status >= 500 || (status < 400 && errorCode !== null) ? { code: 2, message: errorCode ?? '' } : {},
  };
  const stages: [string, number | null, number | null][] = [
    ['prepare', arrivedAt, queuedAt],
    ['queue', queuedAt, startedAt],
    ['prefill', startedAt, firstTokenAt],
    ['decode', firstTokenAt, lastTokenAt],
  ];
  const below = stages.flatMap(([name, from, to]): OtlpSpan[] => {
    if (from === null || to === null) return [];
    const own = { traceId, spanId: newId(8), parentSpanId: spanId, name, kind: 1 as const };
    return [{ ...own, startTimeUnixNano: time(from), endTimeUnixNano: time(to), attributes: [], status: {} }];
  });
  return [whole, ...below];
}
