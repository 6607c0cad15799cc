import { describe, expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';
import { readStream } from '../support/stream-completion.ts';

const settings = { ALTUP_MODELS: 'models/austen-t5-dense' };
const long = { prompt: 'Emma', max_tokens: 400, ignore_eos: true, temperature: 0, stream: true };

describe('SIGTERM', () => {
  it('lets a running stream finish, refuses what is new, and exits with 0', async () => {
    const service = await ServiceProcess.start(settings);
    let signalled = false;
    let refusal: Promise<Response> | undefined;
    const response = await service.post('/v1/completions', long);
    const streamed = await readStream(response, () => {
      if (signalled) return;
      signalled = true;
      service.signal('SIGTERM');
      refusal = service.logged('draining').then(() => service.post('/v1/completions', long));
    });
    expect(streamed.error).toBeNull();
    expect(streamed.isDone).toBe(true);
    expect(streamed.choices[0]?.finish_reason).toBe('length');
    const refused = (await refusal)!;
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).not.toBeNull();
    expect(await refused.json()).toMatchObject({ error: { code: 'shutting_down' } });
    expect(await service.exited).toBe(0);
  });

  it('ends what the drain deadline cuts off with an error event and [DONE]', async () => {
    const service = await ServiceProcess.start({ ...settings, ALTUP_DRAIN_TIMEOUT_MS: '0' });
    const response = await service.post('/v1/completions', long);
    let signalled = false;
    const streamed = await readStream(response, () => {
      if (!signalled) service.signal('SIGTERM');
      signalled = true;
    });
    expect(streamed.error?.code).toBe('shutting_down');
    expect(streamed.isDone).toBe(true);
    expect(await service.exited).toBe(0);
  });
});
