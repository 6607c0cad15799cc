import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { chatModel } from '../support/chat-model.ts';
import { ServiceProcess } from '../support/service-process.ts';

/** Duration of the run; the cases that the schema itself requires take about a minute. */
const seconds = process.env.FUZZ_SECONDS ?? '60';

const timeout = 1000 * (2 * Number(seconds) + 600);

it('Schemathesis finds no fault with the service by its own description', { timeout }, async () => {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: await chatModel('austen-t5-altup-k2'),
    ALTUP_API_KEYS: 'sesame',
    ALTUP_ADMIN_KEYS: 'key-1',
    ALTUP_RESPONSES_STORE: '8MiB',
    // Requests wait for a model that an administrator's request has unloaded. Otherwise they get 503.
    ALTUP_MAX_LOADED_MODELS: '1',
    // A small context, so that each request finishes soon.
    ALTUP_CONTEXT: '32',
  });
  onTestFinished(async () => {
    await service.stop();
  });
  expect(await withoutKey(service)).toEqual([]);
  const run = promisify(execFile)(
    join(import.meta.dirname, 'run'),
    [
      'requirements.txt',
      'schemathesis',
      'run',
      `${service.url}/openapi.json`,
      '--header=Authorization: Bearer sesame',
      // Otherwise it makes up keys, and too many wrong ones block its address.
      '--header=X-API-Key: sesame',
      '--phases=examples,coverage,fuzzing',
      `--max-time=${seconds}`,
      '--workers=1',
      '--checks=all',
      // A body can match its schema and still name an unknown model or ask for too many tokens. Without both keys, most
      // answers would be 429; `withoutKey` asks each operation once.
      '--exclude-checks=positive_data_acceptance,ignored_auth',
      '--continue-on-failure',
      '--generation-database=none',
      '--seed=1',
      '--no-color',
    ],
    { maxBuffer: 2 ** 28 },
  );
  const { code, stdout } = await run
    .then((done) => ({ code: 0, ...done }))
    .catch((error) => error as { code: number; stdout: string });
  const requests = await service.metric('altup_requests_total{');
  console.log(`${requests} requests, statuses ${JSON.stringify(await statuses(service))}`);
  expect(code, stdout).toBe(0);
  expect(requests).toBeGreaterThan(500);
  expect(await service.metric('altup_requests_total{', 'status="5')).toBe(0);
});

/** The operations that need a key by the description and answer without one, or the other way round. */
async function withoutKey({ url }: ServiceProcess): Promise<string[]> {
  type Operations = Record<string, Record<string, { security?: unknown[] }>>;
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Operations };
  const wrong: string[] = [];
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, { security = [] }] of Object.entries(operations)) {
      const { status } = await fetch(`${url}${path.replace('{id}', 'x')}`, { method: method.toUpperCase() });
      if ((status === 401) !== security.length > 0) wrong.push(`${method} ${path}: ${status}`);
    }
  }
  return wrong;
}

async function statuses(service: ServiceProcess): Promise<Record<string, number>> {
  const text = await (await fetch(`${service.url}/metrics`)).text();
  const counts: Record<string, number> = {};
  for (const [, status, count] of text.matchAll(/^altup_requests_total\{.*status="(\d+)"\} (\d+)$/gm)) {
    counts[status!] = (counts[status!] ?? 0) + Number(count);
  }
  return counts;
}
