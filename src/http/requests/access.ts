import type { FastifyRequest } from 'fastify';
import { logAccess } from '../../observability/access-log.ts';
import { generationSpans } from '../../observability/generation-spans.ts';
import { clientAddress } from '../limits/client-name.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';
import { newContext, routeOf, traceOf } from './request-context.ts';

/** nginx's status for a client that left before its answer was complete. */
const clientClosedRequest = 499;

/** Gives each request its context. Logs and counts it once, when its answer is sent or its client has left. */
export function recordAccess(app: App, { clock, logger, metrics, traces }: ServerDependencies): void {
  const record = (request: FastifyRequest, status: number) => {
    const { context, method } = request;
    const { arrivedAt, queuedAt, startedAt, firstTokenAt } = context;
    const between = (from: number | null, to: number | null) =>
      from === null || to === null ? null : round(to - from);
    const trace = traces && traceOf(request, status, clock());
    if (trace) traces.add(generationSpans(trace, Date.now() - clock()));
    metrics.responded(context.model ?? '', routeOf(request), status);
    if (context.client !== '') metrics.clientResponded(context.client, status);
    logAccess(logger, {
      requestId: request.id,
      method,
      route: routeOf(request),
      status,
      client: context.keyName,
      address: context.address,
      durationMs: round(clock() - context.arrivedAt),
      model: context.model,
      completionId: context.completionId,
      promptTokens: context.promptTokens,
      generatedTokens: context.generatedTokens,
      prepareMs: between(arrivedAt, queuedAt),
      queueMs: between(queuedAt, startedAt),
      firstTokenMs: between(arrivedAt, firstTokenAt),
      errorCode: context.errorCode,
      isSlowReader: context.isSlowReader || null,
    });
  };

  app.decorateRequest('context', undefined as never);
  app.addHook('onRequest', async (request, reply) => {
    request.context = newContext(clock(), clientAddress(request));
    // Fastify's onResponse does not run for a client that left.
    let isSent = false;
    reply.raw.once('finish', () => {
      isSent = true;
    });
    reply.raw.once('close', () => record(request, isSent ? reply.raw.statusCode : clientClosedRequest));
    reply.header('x-request-id', request.id);
  });
}

const round = (milliseconds: number) => Math.round(milliseconds * 1000) / 1000;
