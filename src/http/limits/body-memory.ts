import type { FastifyRequest } from 'fastify';
import { ServiceError } from '../../errors.ts';
import type { Metrics } from '../../observability/metrics.ts';
import type { App, ServerConfig } from '../server-dependencies.ts';

/** Maximum number of full-size bodies that may be arriving at once. */
const maxLargest = 64;
const retryAfterSeconds = 1;

/** Bytes to reserve for a body until it is read. A body that does not state its length reserves the whole limit. */
function announcedBytes({ headers }: FastifyRequest, bodyLimit: number): number {
  const length = Number(headers['content-length'] ?? (headers['transfer-encoding'] ? bodyLimit : 0));
  // A larger body is refused before any of it is read.
  return length > bodyLimit ? 0 : length;
}

/**
 * Bounds the memory of bodies that are still arriving: a client may send a thousand at once and hold back the last byte
 * of each. A client may hold at most as much as is still free, so heavy users do not lock out the others.
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
    const { client } = request.life;
    const held = heldBy.get(client) ?? 0;
    if (bytes > 0 && held + bytes > free) {
      metrics.rejected('', 'queue_full', 1);
      const message = `Request bodies of ${held} bytes from this client are still arriving; send fewer at a time.`;
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
