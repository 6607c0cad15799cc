import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runLoadtestProcess } from '../support/loadtest-process.ts';
import { ServiceProcess } from '../support/service-process.ts';

const [altup, baseline] = ['austen-t5-altup-k2', 'austen-t5-dense'];
const key = 'sesame-0123456789';

describe('altup loadtest', () => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({
      ALTUP_MODELS: `models/${altup},models/${baseline}`,
      ALTUP_SLOTS: '2',
      ALTUP_MAX_QUEUED_REQUESTS: '3',
      ALTUP_API_KEYS: key,
    });
  });
  afterAll(() => service.stop());

  it('counts what the service counts, refusals included, and never prints the key', async () => {
    const { code, stdout, stderr, report, page } = await runLoadtestProcess(
      [
        ...[
          '--url',
          service.url,
          '--model',
          altup,
          '--baseline',
          baseline,
          '--rate',
          '4,60',
          '--duration',
          '2',
        ],
        ...['--output-tokens', 'uniform:50,250', '--ignore-eos', '--slo', 'ttft:500'],
      ],
      { ALTUP_API_KEY: key },
    );
    expect(code).toBe(0);
    expect(report.results.map(({ label }) => label).sort()).toEqual(
      [altup, altup, baseline, baseline].sort(),
    );
    const refused = report.results.reduce(
      (sum, { failures }) => sum + (failures['http 429 queue_full'] ?? 0),
      0,
    );
    expect(refused).toBeGreaterThan(0);
    expect(report.counts).toContainEqual(expect.objectContaining({ what: 'requests with status 429' }));
    for (const { client, server } of report.counts) expect(server).toBe(client);
    expect(report.counts_agree).toBe(true);
    expect(stdout).toContain('counts agree with /metrics exactly');
    for (const text of [stdout, stderr, page, JSON.stringify(report)]) expect(text).not.toContain(key);
  });

  it('sees when somebody else uses the service too', async () => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
    const other = setTimeout(1500).then(() =>
      service.post('/v1/completions', { model: altup, prompt: 'She', max_tokens: 2 }, { headers }),
    );
    const args = [
      '--url',
      service.url,
      '--model',
      altup,
      '--rate',
      '2',
      '--duration',
      '3',
      '--arrivals',
      'constant',
    ];
    const { code, stdout } = await runLoadtestProcess(args, { ALTUP_API_KEY: key });
    expect((await other).status).toBe(200);
    expect(code).toBe(1);
    expect(stdout).toContain('counts DIFFER from /metrics');
  });
});

describe('a service that stands still for two seconds', () => {
  it('shows in the tail of an open loop, and hides from a closed one', { timeout: 90_000 }, async () => {
    const service = await ServiceProcess.start({ ALTUP_MODELS: `models/${baseline}` });
    const pauseAfter = async (requests: number) => {
      while ((await service.metric('altup_requests_total', '/v1/completions')) < requests)
        await setTimeout(20);
      service.signal('SIGSTOP');
      await setTimeout(2000);
      service.signal('SIGCONT');
    };
    try {
      const common = ['--url', service.url, '--output-tokens', '4', '--warm-up', '0', '--requests', '100'];
      const open = runLoadtestProcess([...common, '--rate', '20', '--arrivals', 'constant']);
      await pauseAfter(50);
      const [stage] = (await open).report.results;
      expect(stage).toMatchObject({ completed: 100, is_valid: true });
      // About 40 requests fall into the pause: the median is below the pause, and the tail equals it.
      expect(stage!.p50_ttft_ms).toBeLessThan(1500);
      expect(stage!.p99_ttft_ms).toBeGreaterThan(1800);
      expect(stage!.p99_e2el_ms).toBeGreaterThan(1800);

      const closed = runLoadtestProcess([...common, '--concurrency', '1', '--requests', '200']);
      await pauseAfter(150);
      const [hidden] = (await closed).report.results;
      expect(hidden!.p99_ttft_ms).toBeLessThan(1000);
    } finally {
      service.signal('SIGCONT');
      await service.stop();
    }
  });
});
