import { createHash, timingSafeEqual } from 'node:crypto';
import type { onRequestAsyncHookHandler } from 'fastify';
import { ServiceError } from '../errors.ts';

/** Refuses requests without one of the keys; none set: takes all. Takes the same time whichever key is given. */
export function requireApiKey(digests: readonly Buffer[]): onRequestAsyncHookHandler {
  return async (request, reply) => {
    if (digests.length === 0) return;
    const key = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
    const given = createHash('sha256')
      .update(key ?? '')
      .digest();
    const matches = digests.filter((digest) => timingSafeEqual(digest, given)).length;
    if (key !== undefined && matches > 0) return;
    reply.header('www-authenticate', 'Bearer');
    throw new ServiceError(
      'unauthorized',
      key === undefined
        ? 'An API key is needed: send the header Authorization: Bearer <key>.'
        : 'This API key is not known.',
    );
  };
}
