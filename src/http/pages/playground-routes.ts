import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import { ServiceError } from '../../errors.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

const folder = join(import.meta.dirname, '../../ui');
const marked = fileURLToPath(import.meta.resolve('marked'));

/** Nothing inline, no markup from script strings, no form targets; requests only to this service and allowed servers. */
const contentSecurityPolicy = (servers: readonly string[]) => ({
  useDefaults: false,
  directives: {
    'default-src': ["'none'"],
    'script-src': ["'self'"],
    'style-src': ["'self'"],
    'img-src': ["'self'"],
    'connect-src': ["'self'", ...servers],
    'base-uri': ["'none'"],
    'form-action': ["'none'"],
    'frame-ancestors': ["'none'"],
    'require-trusted-types-for': ["'script'"],
  },
});

const schema = {
  operationId: 'playground',
  tags: ['operation'],
  summary: 'A page for trying and comparing the models',
  response: {
    200: { description: 'HTML.', content: { 'text/html': { schema: { type: 'string' } } } },
    304: { description: 'Unchanged.' },
  },
};

/** The page at `/`, and its scripts, styles and pictures under `/playground`. */
export function playgroundRoutes(app: App, { config }: ServerDependencies): void {
  const parts = new Set(globSync('**/*.{js,css,svg}', { cwd: folder }));
  const helmet = { contentSecurityPolicy: contentSecurityPolicy(config.playgroundOrigins) };
  app.register(fastifyStatic, { root: folder, serve: false, maxAge: 0, acceptRanges: false });
  app.get('/', { schema, helmet }, (_request, reply) => reply.sendFile('index.html'));
  app.get<{ Params: { '*': string } }>('/playground/*', { schema: { hide: true } }, (request, reply) => {
    const file = request.params['*'];
    if (file === 'marked.js') return reply.type('text/javascript').sendFile('marked.esm.js', dirname(marked));
    if (!parts.has(file)) throw new ServiceError('not_found', `The playground has no ${file.slice(0, 100)}.`);
    return reply.sendFile(file);
  });
}
