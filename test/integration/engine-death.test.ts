import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';
import { readStream } from '../support/stream-completion.ts';

const body = { prompt: 'Emma', max_tokens: 300, ignore_eos: true, temperature: 0 };
/** Runs for long enough to be interrupted. */
const long = { ...body, prompt: Array(30).fill('Emma') };

it('an engine that dies fails what it ran, serves what waited, and is ready again', async () => {
  const service = await ServiceProcess.start({
    NODE_OPTIONS: `--import ${join(import.meta.dirname, '../support/mortal-engine.ts')}`,
    ALTUP_MODELS: 'models/austen-t5-dense',
    ALTUP_SLOTS: '2',
  });
  try {
    const whole = (await (await service.post('/v1/completions', body)).json()) as { choices: object[] };
    for (let round = 1; round <= 3; round += 1) {
      let queued: Promise<Response> | undefined;
      const running = service.post('/v1/completions', long);
      const stream = await service.post('/v1/completions', { ...long, stream: true });
      const streamed = await readStream(stream, () => {
        if (queued) return;
        queued = service.post('/v1/completions', body);
        service.signal('SIGWINCH');
      });
      expect(streamed.error?.code).toBe('engine_failure');
      expect(streamed.isDone).toBe(true);
      expect((await running).status).toBe(500);
      expect(await (await running).json()).toMatchObject({ error: { code: 'engine_failure' } });

      const answer = await queued!;
      if (answer.status === 503) expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
      else expect(((await answer.json()) as typeof whole).choices).toEqual(whole.choices);
      await service.metricReaches(round, 'altup_engine_restarts_total');
      await service.metricReaches(0, 'altup_requests_running{');
      while ((await fetch(`${service.url}/health/ready`)).status !== 200);
      const after = (await (await service.post('/v1/completions', body)).json()) as typeof whole;
      expect(after.choices).toEqual(whole.choices);
    }
    expect(service.log.map(({ msg }) => msg)).toContain('model is being restarted');
  } finally {
    expect(await service.stop()).toBe(0);
  }
}, 60_000);
