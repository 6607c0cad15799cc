import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';

describe('clients that leave in crowds', () => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({ ALTUP_MODELS: 'models/austen-t5-dense', ALTUP_SLOTS: '2' });
  });
  afterAll(() => service.stop());

  it('leave no sequence behind, and the process ends when told to', async () => {
    const body = { prompt: 'Emma', max_tokens: 200, ignore_eos: true, stream: true };
    const departing = Array.from({ length: 100 }, async (_, i) => {
      const signal = AbortSignal.timeout(20 + (i % 10) * 20);
      const response = await service.post('/v1/completions', body, { signal });
      await response.text();
    });
    await Promise.allSettled(departing);
    await service.metricReaches(0, 'altup_requests_running{');
    await service.metricReaches(0, 'altup_requests_waiting{');
    expect((await service.post('/v1/completions', { ...body, stream: false })).status).toBe(200);
    const stoppedAt = performance.now();
    expect(await service.stop()).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(5000);
  });
});
