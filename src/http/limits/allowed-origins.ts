import cors, { type FastifyCorsOptions } from '@fastify/cors';
import { ignoredFieldsHeader } from '../json/ignored-fields.ts';
import type { App, ServerConfig } from '../server-dependencies.ts';

/** The headers of answers that pages of other origins may read, next to those that every page may. */
const exposedHeaders = [
  'X-Request-Id',
  'X-RateLimit-Limit-Requests',
  'X-RateLimit-Remaining-Requests',
  'Retry-After',
  'Allow',
  ignoredFieldsHeader,
];

/** The methods that routes take. */
const methods = 'GET,HEAD,POST,DELETE';

/** How long a browser may remember the answer to a preflight; seconds. */
const preflightAge = 3600;

/**
 * Lets web pages of the allowed origins call the service, and answers their preflights, which carry no key. Pages may
 * send any header. Cookies stay out: the service has none.
 */
export function allowOrigins(app: App, { corsOrigins }: Pick<ServerConfig, 'corsOrigins'>): void {
  if (corsOrigins === null) return;
  const options: FastifyCorsOptions = {
    origin: [...corsOrigins],
    methods,
    exposedHeaders,
    maxAge: preflightAge,
  };
  app.register(cors, {
    delegator: ({ headers }, done) => {
      // Another OPTIONS request is refused like any method that a route does not take.
      const isPreflight = 'origin' in headers && 'access-control-request-method' in headers;
      done(null, { ...options, preflight: isPreflight });
    },
  });
}
