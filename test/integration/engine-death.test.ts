import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';
import { readStream } from '../support/stream-completion.ts';

const body = { prompt: 'Emma', max_tokens: 300, ignore_eos: true, temperature: 0 };
/** Runs long enough to be interrupted. */
const long = { ...body, prompt: Array(40).fill('Emma') };

describe('an engine that dies', () => {
  let service: ServiceProcess;
  let expected: object[];
  let deaths = 0;

  const choicesOf = async (response: Response) => ((await response.json()) as { choices: object[] }).choices;
  const recovered = async () => {
    deaths += 1;
    await service.metricReaches(deaths, 'altup_engine_restarts_total');
    await service.metricReaches(0, 'altup_requests_running{');
    while ((await fetch(`${service.url}/health/ready`)).status !== 200);
    expect(await choicesOf(await service.post('/v1/completions', body))).toEqual(expected);
  };

  beforeAll(async () => {
    service = await ServiceProcess.start({
      NODE_OPTIONS: `--import ${join(import.meta.dirname, '../support/mortal-engine.ts')}`,
      ALTUP_MODELS: 'models/austen-t5-dense',
      ALTUP_SLOTS: '2',
    });
    expected = await choicesOf(await service.post('/v1/completions', body));
  });
  afterAll(async () => expect(await service.stop()).toBe(0));

  it.each([1, 2])(
    'ends a stream with an error event, serves what waited, and is ready again (%i)',
    async () => {
      let queued: Promise<Response> | undefined;
      const streamed = await readStream(
        await service.post('/v1/completions', { ...long, stream: true }),
        () => {
          if (queued) return;
          queued = service.post('/v1/completions', body);
          service.signal('SIGWINCH');
        },
      );
      expect(streamed.error?.code).toBe('engine_failure');
      expect(streamed.isDone).toBe(true);
      const answer = await queued!;
      if (answer.status === 503) expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
      else expect(await choicesOf(answer)).toEqual(expected);
      await recovered();
    },
  );

  it('answers what it ran with 500', async () => {
    const running = service.post('/v1/completions', long);
    await service.metricReaches(2, 'altup_requests_running{');
    service.signal('SIGWINCH');
    expect((await running).status).toBe(500);
    expect(await (await running).json()).toMatchObject({ error: { code: 'engine_failure' } });
    await recovered();
    expect(service.log.map(({ msg }) => msg)).toContain('model is being restarted');
    expect(service.log).toContainEqual(
      expect.objectContaining({
        msg: 'engine fault',
        detail: expect.stringMatching(/exited with code 1; another starts in \d+ ms/),
      }),
    );
  });
});
