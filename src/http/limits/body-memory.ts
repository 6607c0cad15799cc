import type { FastifyRequest } from 'fastify';
import { ServiceError } from '../../errors.ts';
import type { Metrics } from '../../observability/metrics.ts';
import type { App, ServerConfig } from '../server-dependencies.ts';

/** Bodies of the largest size that may be on their way at once. */
const maxLargest = 64;
const retryAfterSeconds = 1;

/** Bytes a body takes until it is read; one that does not say how long it is may take all it is allowed. */
function announcedBytes({ headers }: FastifyRequest, bodyLimit: number): number {
  const length = Number(headers['content-length'] ?? (headers['transfer-encoding'] ? bodyLimit : 0));
  // A larger one is refused before any of it is read.
  return length > bodyLimit ? 0 : length;
}

/**
 * Bounds what bodies take that have not arrived whole: a client may send a thousand at a time, and each but for its last
 * byte. A client may hold as much as all leave free, so that those who hold much don't keep the others out.
 */
export function boundBodies(
  app: App,
  { bodyLimit }: Pick<ServerConfig, 'bodyLimit'>,
  metrics: Pick<Metrics, 'rejected'>,
): void {
  const heldBy = new Map<string, number>();
  const releases = new WeakMap<FastifyRequest, () => void>();
  let free = maxLargest * bodyLimit;

  app.addHook('preParsing', (request, reply, payload, done) => {
    const bytes = announcedBytes(request, bodyLimit);
    const { client } = request.context;
    const held = heldBy.get(client) ?? 0;
    if (bytes > 0 && held + bytes > free) {
      metrics.rejected('', 'queue_full', 1);
      const message = `Bodies of ${held} bytes from this client are still on their way; send fewer at a time.`;
      done(new ServiceError('queue_full', message, { retryAfterSeconds }));
      return;
    }
    free -= bytes;
    heldBy.set(client, held + bytes);
    const release = () => {
      if (!releases.delete(request)) return;
      free += bytes;
      const left = heldBy.get(client)! - bytes;
      if (left > 0) heldBy.set(client, left);
      else heldBy.delete(client);
    };
    releases.set(request, release);
    reply.raw.once('close', release);
    done(null, payload);
  });
  app.addHook('preValidation', (request, _, done) => {
    releases.get(request)?.();
    done();
  });
}
