import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';

const textOf = async (response: Response) =>
  ((await response.json()) as { choices: { text: string }[] }).choices[0]?.text;

describe('a burst over the queue limit', () => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({
      ALTUP_MODELS: 'models/austen-t5-dense',
      ALTUP_SLOTS: '2',
      ALTUP_MAX_QUEUED_REQUESTS: '4',
      ALTUP_CLIENT_QUEUE_SHARE: '100',
    });
  });
  afterAll(() => service.stop());

  it('is refused with 429, Retry-After and an OpenAI-shaped body, and afterwards all is served again', async () => {
    const body = { prompt: 'She had been', max_tokens: 200, ignore_eos: true, temperature: 0 };
    const responses = await Promise.all(
      Array.from({ length: 40 }, () => service.post('/v1/completions', body)),
    );
    const refused = responses.filter(({ status }) => status === 429);
    const served = responses.filter(({ status }) => status === 200);
    expect(refused.length + served.length).toBe(40);
    expect(served.length).toBeGreaterThanOrEqual(4);
    expect(refused.length).toBeGreaterThan(0);
    for (const response of refused) {
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(await response.json()).toEqual({
        error: { message: expect.any(String), type: 'rate_limit_error', param: null, code: 'queue_full' },
      });
    }
    const texts = await Promise.all(served.map(textOf));
    expect(new Set(texts).size).toBe(1);
    expect(await service.metric('altup_requests_rejected_total', 'queue_full')).toBe(refused.length);

    // Up to a quarter of the queue may still be reserved for clients that were asked to return.
    const after = await Promise.all(Array.from({ length: 3 }, () => service.post('/v1/completions', body)));
    expect(after.map(({ status }) => status)).toEqual(Array(3).fill(200));
  });
});
