import type { onRequestHookHandler } from 'fastify';
import type { Metrics } from '../observability/metrics.ts';
import type { ClientLimits } from './client-limits.ts';

/** Refuses a client's requests above its rate, and says in headers, by OpenAI's names, what is left of it. */
export function limitRate(limits: ClientLimits, metrics: Pick<Metrics, 'rejected'>): onRequestHookHandler {
  return (request, reply, done) => {
    try {
      const allowance = limits.admit(request.context.client);
      if (allowance) {
        reply.header('x-ratelimit-limit-requests', allowance.count);
        reply.header('x-ratelimit-remaining-requests', allowance.left);
      }
      done();
    } catch (error) {
      metrics.rejected('', 'rate_limited', 1);
      done(error as Error);
    }
  };
}
