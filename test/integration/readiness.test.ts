import { expect, it, onTestFinished } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';

it('is ready with the last of its models, not with the first', async () => {
  const models = ['austen-t5-dense', 'austen-t5-altup-k2', 'austen-gemma3'].map((name) => `models/${name}`);
  const service = ServiceProcess.launch({ ALTUP_MODELS: models.join(), ALTUP_STRICT: 'true' });
  onTestFinished(async () => void (await service.stop()));
  await service.logged('listening');
  const counts = new Set<string>();
  for (let status = 0; status !== 200; ) {
    const response = await fetch(`${service.url}/health/ready`);
    const body = (await response.json()) as { status: string; models: { state: string }[] };
    const ready = body.models.filter(({ state }) => state === 'ready').length;
    status = response.status;
    counts.add(`${ready} of ${body.models.length}: ${status} ${body.status}`);
    expect(response.headers.has('retry-after')).toBe(status === 503);
  }
  expect([...counts]).toContainEqual(expect.stringMatching(/^[12] of 3: 503 not_ready$/));
  expect([...counts].at(-1)).toBe('3 of 3: 200 ready');
});
