import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ageingMs } from '../../src/engine/scheduler/waiting-queue.ts';
import { ServiceProcess } from '../support/service-process.ts';

describe('two tenants on two slots', () => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({
      ALTUP_MODELS: 'models/austen-t5-dense',
      ALTUP_SLOTS: '2',
      ALTUP_THREADS: '1',
      ALTUP_API_KEYS: 'large,small',
      ALTUP_URGENT_KEYS: 'key-1',
    });
  });
  afterAll(() => service.stop());

  const post = (key: string, body: object, signal?: AbortSignal) =>
    service.post('/v1/completions', body, {
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      ...(signal ? { signal } : {}),
    });

  it.each([
    ['older than its ageing', ageingMs + 500, 0],
    ['urgent', 500, -1000],
  ])('backlogs of 128 sequences, %s, do not keep the other from its slot', async (_, ageMs, priority) => {
    await service.metricReaches(0, 'altup_requests_running');
    const leaving = new AbortController();
    const long = { prompt: 'She had been', max_tokens: 500, ignore_eos: true, n: 128, priority };
    // Two backlogs, each sent again when it is done: a fast machine finishes 128 sequences before the test ends.
    const backlogs = [0, 1].map(async () => {
      while (true) {
        const response = await post('large', long, leaving.signal);
        expect(response.status).toBe(200);
        await response.text();
      }
    });
    const left = Promise.allSettled(backlogs);
    await service.metricReaches(2, 'altup_requests_running');
    await setTimeout(ageMs);
    const waits: number[] = [];
    for (let i = 0; i < 20; i++) {
      // Both backlogs may be near their end, so wait until one of them starts again.
      while ((await service.metric('altup_requests_waiting')) <= 10) await setTimeout(20);
      const small = { prompt: 'It is a truth', max_tokens: 8, return_metrics: true };
      const response = await post('small', small);
      expect(response.status).toBe(200);
      const { metrics } = (await response.json()) as { metrics: { queue_time_ms: number } };
      waits.push(metrics.queue_time_ms);
    }
    leaving.abort();
    await left;
    // Less than the time of one sequence of 500 tokens.
    expect(Math.max(...waits), waits.map(Math.round).join(' ')).toBeLessThan(250);
  });
});
