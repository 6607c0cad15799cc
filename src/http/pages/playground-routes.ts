import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import { ServiceError } from '../../errors.ts';
import type { App } from '../server-dependencies.ts';

const folder = join(import.meta.dirname, '../../ui');

/** Nothing from other hosts, nothing inline, no markup from script strings, no form targets. */
const contentSecurityPolicy = {
  useDefaults: false,
  directives: {
    'default-src': ["'none'"],
    'script-src': ["'self'"],
    'style-src': ["'self'"],
    'img-src': ["'self'"],
    'connect-src': ["'self'"],
    'base-uri': ["'none'"],
    'form-action': ["'none'"],
    'frame-ancestors': ["'none'"],
    'require-trusted-types-for': ["'script'"],
  },
};

const schema = {
  operationId: 'playground',
  tags: ['operation'],
  summary: 'A page for trying the models',
  response: {
    200: { description: 'HTML.', content: { 'text/html': { schema: { type: 'string' } } } },
    304: { description: 'Unchanged.' },
  },
};

/** The page at `/`, and its scripts, styles and pictures under `/playground`. */
export function playgroundRoutes(app: App): void {
  const parts = new Set(readdirSync(folder).filter((file) => /\.(js|css|svg)$/.test(file)));
  app.register(fastifyStatic, { root: folder, serve: false, maxAge: 0, acceptRanges: false });
  app.get('/', { schema, helmet: { contentSecurityPolicy } }, (_request, reply) =>
    reply.sendFile('index.html'),
  );
  app.get<{ Params: { file: string } }>(
    '/playground/:file',
    { schema: { hide: true } },
    ({ params: { file } }, reply) => {
      if (!parts.has(file))
        throw new ServiceError('not_found', `The playground has no ${file.slice(0, 100)}.`);
      return reply.sendFile(file);
    },
  );
}
