import type { App } from '../server-dependencies.ts';

const schema = {
  operationId: 'openapi',
  tags: ['operation'],
  summary: 'This description of the API',
  response: { 200: { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: {} } } } },
};

export function openapiRoute(app: App): void {
  let document: string | undefined;
  app.get('/openapi.json', { schema }, async (_request, reply) => {
    document ??= JSON.stringify(app.swagger());
    return reply.type('application/json').serializer(String).send(document);
  });
}
