import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { chatModel } from '../support/chat-model.ts';
import { ServiceProcess } from '../support/service-process.ts';

/** Duration of the run; the cases that the schema itself requires take about a minute. */
const seconds = process.env.FUZZ_SECONDS ?? '120';

it('Schemathesis finds no fault with the service by its own description', async () => {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: await chatModel('austen-t5-altup-k2'),
    ALTUP_API_KEYS: 'sesame',
    // A small context, so that each request finishes soon.
    ALTUP_CONTEXT: '32',
  });
  onTestFinished(async () => {
    await service.stop();
  });
  const run = promisify(execFile)(
    join(import.meta.dirname, 'run'),
    [
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
      // A body can match its schema and still name an unknown model or ask for too many tokens.
      '--exclude-checks=positive_data_acceptance',
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

async function statuses(service: ServiceProcess): Promise<Record<string, number>> {
  const text = await (await fetch(`${service.url}/metrics`)).text();
  const counts: Record<string, number> = {};
  for (const [, status, count] of text.matchAll(/^altup_requests_total\{.*status="(\d+)"\} (\d+)$/gm)) {
    counts[status!] = (counts[status!] ?? 0) + Number(count);
  }
  return counts;
}
