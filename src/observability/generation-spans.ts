import { randomBytes } from 'node:crypto';
import { type Attributes, double, type OtlpSpan, spanAttributes, unixNano } from './otlp-span.ts';
import type { AnsweredRequest } from './request-life.ts';
import type { Stage } from './request-stages.ts';

/** Parameters that the conventions define as doubles, even when they are whole. */
const doubles = new Set(['temperature', 'top_p', 'frequency_penalty', 'presence_penalty']);

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

type Task = NonNullable<AnsweredRequest['generation']>;

function attributesOf(life: AnsweredRequest, { operation, parameters }: Task): Attributes {
  const { model, firstTokenAt, arrivedAt, errorCode, status, finishReasons } = life;
  return {
    'gen_ai.operation.name': operation,
    'gen_ai.provider.name': 'altup-serve',
    'gen_ai.request.model': model,
    'gen_ai.response.model': model,
    ...Object.fromEntries(
      Object.entries(parameters).map(([name, value]) => [
        `gen_ai.request.${name}`,
        typeof value === 'number' && doubles.has(name) ? double(value) : value,
      ]),
    ),
    'gen_ai.response.id': life.completionId,
    'gen_ai.response.finish_reasons': finishReasons.length === 0 ? null : finishReasons,
    'gen_ai.response.time_to_first_chunk': double(
      firstTokenAt === null ? null : (firstTokenAt - arrivedAt) / 1000,
    ),
    'gen_ai.usage.input_tokens': life.promptTokens,
    'gen_ai.usage.output_tokens': life.generatedTokens,
    'gen_ai.usage.cache_read.input_tokens': life.cachedTokens,
    'http.request.method': life.method,
    'http.route': life.route,
    'http.response.status_code': status,
    'client.address': life.address,
    'altup.client.name': life.keyName,
    'altup.request.id': life.id,
    'error.type': errorCode ?? (status >= 400 ? String(status) : null),
  };
}

/**
 * A request as a span by OpenTelemetry's GenAI conventions, with a child span for each of its stages.
 * @param clockOffset milliseconds from the shared clock to the time since the epoch
 * @returns no spans unless the request asked a known model for text or embeddings, or if the caller's trace is not
 *   sampled
 */
export function generationSpans(
  life: AnsweredRequest,
  stages: readonly Stage[],
  clockOffset: number,
): OtlpSpan[] {
  const { generation, model } = life;
  if (generation === null || model === null) return [];
  const { traceId, parentSpanId, isSampled } = readTraceparent(life.traceparent);
  if (!isSampled) return [];
  const spanId = newId(8);
  const time = (at: number) => unixNano(at + clockOffset);
  const { arrivedAt, endedAt, errorCode, status } = life;
  const whole: OtlpSpan = {
    traceId,
    spanId,
    ...(parentSpanId ? { parentSpanId } : {}),
    name: `${generation.operation} ${model}`,
    kind: 2,
    startTimeUnixNano: time(arrivedAt),
    endTimeUnixNano: time(endedAt),
    attributes: spanAttributes(attributesOf(life, generation)),
    // By the conventions for servers, a client's fault is not an error of the span.
    status:
      status >= 500 || (status < 400 && errorCode !== null) ? { code: 2, message: errorCode ?? '' } : {},
  };
  // The same names as on the whole, so that one query finds a client's stages.
  const attributes = spanAttributes({ 'gen_ai.request.model': model, 'altup.client.name': life.keyName });
  const below = stages.map(({ name, from, to }): OtlpSpan => {
    const own = { traceId, spanId: newId(8), parentSpanId: spanId, name, kind: 1 as const };
    return { ...own, startTimeUnixNano: time(from), endTimeUnixNano: time(to), attributes, status: {} };
  });
  return [whole, ...below];
}
