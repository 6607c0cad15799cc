import { readFileSync } from 'node:fs';
import { fakeServer } from './fake-server.ts';

/** The API's description as stored in openapi/openapi.json, with this package's version. */
export async function openapiDocument(): Promise<string> {
  const manifest = new URL('../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
  const { app } = fakeServer();
  await app.ready();
  const document = app.swagger();
  return `${JSON.stringify({ ...document, info: { ...document.info, version } }, null, 2)}\n`;
}
