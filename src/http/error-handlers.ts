import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../errors.ts';
import { allowedMethods } from './allowed-methods.ts';
import { errorBody, retryAfterSeconds, toServiceError } from './error-response.ts';
import type { App } from './server-dependencies.ts';

function refuse(request: FastifyRequest, reply: FastifyReply, error: ServiceError): FastifyReply {
  request.context.errorCode = error.code;
  if (error.status >= 500)
    request.log.error({ requestId: request.id, err: error.cause ?? error }, error.message);
  const retryAfter = retryAfterSeconds(error);
  if (retryAfter !== null) reply.header('retry-after', Math.max(1, Math.ceil(retryAfter)));
  return reply.code(error.status).type('application/json').send(errorBody(error));
}

/** Every error leaves in OpenAI's shape. */
export function handleErrors(app: App): void {
  const methodsOf = allowedMethods(app);
  app.setErrorHandler((error, request, reply) => refuse(request, reply, toServiceError(error)));
  // Before the body is looked at, which is of no interest where there is no route.
  app.addHook('onRequest', async (request, reply) => {
    if (!request.is404) return;
    const path = request.url.split('?')[0]!.slice(0, 200);
    const methods = methodsOf(path);
    if (methods.length === 0) throw new ServiceError('not_found', `There is no ${path}; see /docs.`);
    reply.header('allow', methods.join(', '));
    const takes = `${path} takes ${methods.join(' and ')}, not ${request.method}.`;
    throw new ServiceError('method_not_allowed', takes);
  });
}

/** A path that cannot be decoded, which no hook and no handler of the app gets to see. */
export function refuseBadUrl(_error: unknown, _request: unknown, reply: FastifyReply): void {
  const error = new ServiceError('invalid_request', 'The path cannot be decoded.');
  reply.code(error.status).type('application/json').send(errorBody(error));
}
