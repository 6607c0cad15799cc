import type { ServerResponse } from 'node:http';
import type { FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { TextOwner } from '../catalog/texts/text-workers.ts';
import { generationSpans } from '../observability/generation-spans.ts';
import { type AnsweredRequest, between, RequestLife } from '../observability/request-life.ts';
import { durationsOf, type Stage, stagesOf } from '../observability/request-stages.ts';
import { clientAddress } from './limits/client-name.ts';
import type { App, ServerDependencies } from './server-dependencies.ts';

declare module 'fastify' {
  interface FastifyRequest {
    life: RequestLife;
  }
}

/** nginx's status for a client that left before its answer was complete. */
const clientClosedRequest = 499;

/** Gives each request its life. Logs, counts and traces it once, when its answer is sent or its client has left. */
export function recordAccess(app: App, { clock, logger, metrics, traces }: ServerDependencies): void {
  const record = (life: AnsweredRequest) => {
    const stages = stagesOf(life);
    const spans = traces === null ? [] : generationSpans(life, stages, Date.now() - clock());
    if (spans.length > 0) traces?.add(spans);
    metrics.answered(life);
    if (life.generation !== null) metrics.generationEnded(life, stages);
    logAccess(logger, life, stages);
  };

  app.decorateRequest('life', undefined as never);
  app.addHook('onRequest', async (request, reply) => {
    const { traceparent } = request.headers;
    const life = new RequestLife({
      id: request.id,
      method: request.method,
      route: request.routeOptions.url ?? 'none',
      address: clientAddress(request),
      traceparent: typeof traceparent === 'string' ? traceparent : undefined,
      arrivedAt: clock(),
    });
    request.life = life;
    // Fastify's onResponse does not run for a client that left.
    let isSent = false;
    reply.raw.once('finish', () => {
      isSent = true;
    });
    reply.raw.once('close', () => {
      record(life.answered(isSent ? reply.raw.statusCode : clientClosedRequest, clock()));
    });
    reply.header('x-request-id', request.id);
  });
}

/** Logs one line per request. Probes, scrapes and parts of the playground page are frequent, so only at debug level. */
function logAccess(logger: Logger, life: AnsweredRequest, stages: readonly Stage[]): void {
  const { method, route, status, arrivedAt } = life;
  const isRoutine = method === 'GET' && status < 400 && /^\/(health|metrics|playground\/)/.test(route);
  const line = {
    requestId: life.id,
    method,
    route,
    status,
    client: life.keyName,
    address: life.address,
    durationMs: between(arrivedAt, life.endedAt),
    model: life.model,
    completionId: life.completionId,
    promptTokens: life.promptTokens,
    generatedTokens: life.generatedTokens,
    ...Object.fromEntries(
      Object.entries(durationsOf(stages)).map(([name, duration]) => [`${name}Ms`, between(0, duration)]),
    ),
    firstTokenMs: between(arrivedAt, life.firstTokenAt),
    errorCode: life.errorCode,
    isSlowReader: life.isSlowReader || null,
  };
  const known = Object.fromEntries(Object.entries(line).filter(([, value]) => value !== null));
  logger[isRoutine ? 'debug' : 'info'](known, 'request');
}

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

/** The owner of a request's text. @param signal aborts when the client leaves */
export const textOwner = (
  { life }: FastifyRequest,
  model: string,
  signal: AbortSignal,
  { config, clock }: Pick<ServerDependencies, 'config' | 'clock'>,
): TextOwner => ({
  client: life.client,
  model,
  signal,
  waitMs: life.arrivedAt + config.queueTimeoutMs - clock(),
});
