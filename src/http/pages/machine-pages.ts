import type { App, ServerDependencies } from '../server-dependencies.ts';

const metricsSchema = {
  operationId: 'metrics',
  tags: ['operation'],
  summary: 'Metrics for Prometheus',
  response: {
    200: {
      description: 'Prometheus’ text format.',
      content: { 'text/plain': { schema: { type: 'string' } } },
    },
  },
};

export function metricsRoute(app: App, { metrics }: ServerDependencies): void {
  app.get('/metrics', { schema: metricsSchema }, async (_request, reply) => {
    const { contentType, text } = await metrics.render();
    return reply.type(contentType).send(text);
  });
}

const openapiSchema = {
  operationId: 'openapi',
  tags: ['operation'],
  summary: 'This description of the API',
  response: { 200: { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: {} } } } },
};

export function openapiRoute(app: App): void {
  let document: string | undefined;
  app.get('/openapi.json', { schema: openapiSchema }, async (_request, reply) => {
    document ??= JSON.stringify(app.swagger());
    return reply.type('application/json').serializer(String).send(document);
  });
}
