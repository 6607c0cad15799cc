import type { FastifyRequest } from 'fastify';
import type { TextOwner } from '../catalog/text-workers.ts';
import type { ServerDependencies } from './server-dependencies.ts';

/** Whose text a request's is. @param signal aborts when the client leaves */
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
