import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../../errors.ts';
import type { App } from '../server-dependencies.ts';
import { errorBody, retryAfterSeconds, toServiceError } from './error-response.ts';
import { invalidRequest } from './invalid-request.ts';
import { meantRoute } from './meant-route.ts';

function refuse(request: FastifyRequest, reply: FastifyReply, error: ServiceError): FastifyReply {
  request.life.errorCode = error.code;
  // The access log has refusals such as `not_ready`. Only a fault of the service needs its cause and stack logged.
  if (error.status === 500) request.log.error({ err: error.cause ?? error }, error.message);
  const retryAfter = retryAfterSeconds(error);
  if (retryAfter !== null) reply.header('retry-after', Math.max(1, Math.ceil(retryAfter)));
  if (error.status === 415) reply.headers({ accept: 'application/json', 'accept-encoding': 'identity' });
  return reply.code(error.status).type('application/json').send(errorBody(error));
}

/** Sends every error in OpenAI's shape. */
export function handleErrors(app: App): void {
  const methodsOf = allowedMethods(app);
  app.setErrorHandler((error, request, reply) => refuse(request, reply, toServiceError(error)));
  // For handlers that find nothing. The hook refuses a path without a route before its body is read.
  app.setNotFoundHandler((request, reply) => refuse(request, reply, notFound(request)));
  app.addHook('onRequest', async (request, reply) => {
    // With CORS, OPTIONS has a route for every path.
    if (!request.is404 && request.routeOptions.url !== '*') return;
    if (!isReadablePath(request.originalUrl)) {
      throw invalidRequest(
        null,
        'The path is not valid: each `%` must be followed by the two hexadecimal digits of a UTF-8 byte.',
      );
    }
    const path = pathOf(request.url);
    const methods = methodsOf(path);
    if (methods.length === 0)
      throw notFound(
        request,
        meantRoute(path, (other) => methodsOf(other).length > 0),
      );
    reply.header('allow', methods.join(', '));
    const takes = `${path.slice(0, 200)} takes ${methods.join(' and ')}, not ${request.method}.`;
    throw new ServiceError('method_not_allowed', takes);
  });
}

const notFound = ({ url }: FastifyRequest, instead: string | null = null) => {
  const missing = `There is no ${pathOf(url).slice(0, 200)}`;
  return new ServiceError(
    'not_found',
    instead === null ? `${missing}; see /docs.` : `${missing}. ${instead}`,
  );
};

const pathOf = (url: string) => url.split(/[?#]/)[0]!;

function isReadablePath(url: string): boolean {
  try {
    decodeURI(pathOf(url));
    return true;
  } catch {
    return false;
  }
}

/** Rewrites a path that cannot be decoded to one without a route: it is refused, logged and counted like any other. */
export const readableUrl = ({ url = '/' }: IncomingMessage): string => (isReadablePath(url) ? url : '/%25');

/** Records the methods of each route added from now on. @returns lists a path's methods; empty if it has no route */
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
