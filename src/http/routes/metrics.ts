import type { App, ServerDependencies } from '../server-dependencies.ts';

const schema = {
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
  app.get('/metrics', { schema }, async (_request, reply) => {
    const { contentType, text } = await metrics.render();
    return reply.type(contentType).send(text);
  });
}
