import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../../errors.ts';
import type { App } from '../server-dependencies.ts';
import { errorBody, retryAfterSeconds, toServiceError } from './error-response.ts';
import { invalidRequest } from './invalid-request.ts';

function refuse(request: FastifyRequest, reply: FastifyReply, error: ServiceError): FastifyReply {
  request.context.errorCode = error.code;
  // Refusals such as `not_ready` are in the access log; only a fault needs its cause and stack.
  if (error.status === 500) request.log.error({ err: error.cause ?? error }, error.message);
  const retryAfter = retryAfterSeconds(error);
  if (retryAfter !== null) reply.header('retry-after', Math.max(1, Math.ceil(retryAfter)));
  if (error.status === 415) reply.headers({ accept: 'application/json', 'accept-encoding': 'identity' });
  return reply.code(error.status).type('application/json').send(errorBody(error));
}

/** Every error leaves in OpenAI's shape. */
export function handleErrors(app: App): void {
  const methodsOf = allowedMethods(app);
  app.setErrorHandler((error, request, reply) => refuse(request, reply, toServiceError(error)));
  // Where a handler finds nothing; a path without a route is refused before its body is read.
  app.setNotFoundHandler((request, reply) => refuse(request, reply, notFound(request)));
  app.addHook('onRequest', async (request, reply) => {
    if (!request.is404) return;
    if (!isReadablePath(request.originalUrl)) {
      throw invalidRequest(
        null,
        'The path is not valid: each `%` must begin the two hexadecimal digits of a byte of UTF-8.',
      );
    }
    const path = pathOf(request.url);
    const methods = methodsOf(path);
    if (methods.length === 0) throw notFound(request);
    reply.header('allow', methods.join(', '));
    const takes = `${path.slice(0, 200)} takes ${methods.join(' and ')}, not ${request.method}.`;
    throw new ServiceError('method_not_allowed', takes);
  });
}

const notFound = ({ url }: FastifyRequest) =>
  new ServiceError('not_found', `There is no ${pathOf(url).slice(0, 200)}; see /docs.`);

const pathOf = (url: string) => url.split(/[?#]/)[0]!;

function isReadablePath(url: string): boolean {
  try {
    decodeURI(pathOf(url));
    return true;
  } catch {
    return false;
  }
}

/** Sends a path that cannot be decoded where no route is, so that it is refused, logged and counted like all others. */
export const readableUrl = ({ url = '/' }: IncomingMessage): string => (isReadablePath(url) ? url : '/%25');

/** Notes the methods of each route that is added from now on. @returns those that a path takes; none: no route has it */
function allowedMethods(app: App): (path: string) => string[] {
  const routes: { pattern: RegExp; methods: readonly string[] }[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    const pattern = url
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replace(/:\w+/g, '[^/]+');
    routes.push({ pattern: new RegExp(`^${pattern}$`), methods: [method].flat() });
  });
  return (path) => {
    const methods = routes.flatMap((route) => (route.pattern.test(path) ? route.methods : []));
    return [...new Set(methods)].sort();
  };
}
