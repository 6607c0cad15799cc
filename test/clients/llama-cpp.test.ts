import { expect, it, onTestFinished } from 'vitest';
import { LlamaCppServer } from '../support/llama-cpp-server.ts';
import { runLoadtestProcess } from '../support/loadtest-process.ts';
import { ServiceProcess } from '../support/service-process.ts';

it('altup loadtest runs unchanged against llama.cpp’s server', async () => {
  const peer = await LlamaCppServer.start();
  onTestFinished(() => peer.stop());
  const service = await ServiceProcess.start({ ALTUP_MODELS: 'models/austen-t5-altup-k2' });
  onTestFinished(async () => {
    await service.stop();
  });
  const args = [
    '--rate',
    '5,10',
    '--duration',
    '4',
    '--output-tokens',
    '16',
    '--ignore-eos',
    '--order',
    'interleaved',
  ];
  const [theirs, ours] = [
    await runLoadtestProcess(['--url', peer.url, ...args]),
    await runLoadtestProcess(['--url', service.url, ...args]),
  ];
  for (const { code, report } of [theirs, ours]) {
    expect(code).toBe(0);
    expect(report.results).toHaveLength(2);
    for (const stage of report.results) {
      expect(stage.failures).toEqual({});
      expect(stage.completed).toBeGreaterThan(8);
      expect(stage.total_output_tokens).toBe(16 * stage.completed);
      expect(stage.p50_ttft_ms).toBeGreaterThan(0);
      expect(stage.p99_e2el_ms).toBeGreaterThan(stage.p50_ttft_ms);
    }
  }
  expect(theirs.report.results.map(({ label }) => label)).toEqual(['random-llama', 'random-llama']);
  expect(theirs.stdout).toContain('counts: not checked, the server exposes no altup metrics');
  expect(ours.stdout).toContain('counts agree with /metrics exactly');
  expect(theirs.report.results.map((stage) => stage.num_prompts)).toEqual(
    ours.report.results.map((stage) => stage.num_prompts),
  );

  const chat = await runLoadtestProcess([
    '--url',
    peer.url,
    '--endpoint',
    'chat',
    '--concurrency',
    '2',
    '--requests',
    '6',
  ]);
  expect(chat.report.results[0]).toMatchObject({ completed: 6, failed: 0, max_concurrency: 2 });
});
