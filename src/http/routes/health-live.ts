import { LiveSchema } from '../schemas/health.ts';
import type { App } from '../server-dependencies.ts';

const schema = {
  operationId: 'live',
  tags: ['operation'],
  summary: 'Whether the process answers',
  description: 'Also while models load and while the service drains: a restart would help neither.',
  response: { 200: LiveSchema },
};

export function healthLiveRoute(app: App): void {
  app.get('/health/live', { schema }, async () => ({ status: 'live' as const }));
}
