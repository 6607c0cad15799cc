import { VersionSchema } from '../schemas/health.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

const schema = {
  operationId: 'version',
  tags: ['operation'],
  summary: 'The version that runs',
  response: { 200: VersionSchema },
};

export function versionRoute(app: App, { version }: ServerDependencies): void {
  app.get('/version', { schema }, async () => ({ version }));
}
