import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../errors.ts';
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
  app.setErrorHandler((error, request, reply) => refuse(request, reply, toServiceError(error)));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0]!.slice(0, 200);
    return refuse(
      request,
      reply,
      new ServiceError('not_found', `There is no ${request.method} ${path}; see /docs.`),
    );
  });
}

/** A path that cannot be decoded, which no hook and no handler of the app gets to see. */
export function refuseBadUrl(_error: unknown, _request: unknown, reply: FastifyReply): void {
  const error = new ServiceError('invalid_request', 'The path cannot be decoded.');
  reply.code(error.status).type('application/json').send(errorBody(error));
}
