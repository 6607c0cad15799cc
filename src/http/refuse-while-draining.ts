import type { onRequestAsyncHookHandler } from 'fastify';
import { ServiceError } from '../errors.ts';

/** From the stop signal on nothing new is begun; another instance takes the retry. */
export function refuseWhileDraining(isDraining: () => boolean): onRequestAsyncHookHandler {
  return async (_request, reply) => {
    if (!isDraining()) return;
    reply.header('connection', 'close');
    throw new ServiceError('shutting_down', 'The service is about to stop.', { retryAfterSeconds: 1 });
  };
}
