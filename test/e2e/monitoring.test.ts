import { setTimeout } from 'node:timers/promises';
import { Network } from 'testcontainers';
import { beforeAll, expect, it } from 'vitest';
import { ConstantLoad } from '../support/constant-load.ts';
import { describeDocker } from '../support/containers/describe-docker.ts';
import { docker } from '../support/containers/docker.ts';
import {
  buildPrometheusImage,
  buildServiceImage,
  buildTimeoutMs,
  prometheusImage,
} from '../support/containers/images.ts';
import { PrometheusContainer } from '../support/containers/prometheus-container.ts';
import { ServiceContainer } from '../support/containers/service-container.ts';
import { dashboardQueries } from '../support/dashboard-queries.ts';

const loadMs = 30_000;
const models = ['austen-t5-dense', 'austen-t5-altup-k2'];

describeDocker('alerts and dashboard', () => {
  beforeAll(async () => {
    await buildServiceImage();
    await buildPrometheusImage();
  }, buildTimeoutMs);

  it('each alert fires when it should, and not before, by promtool', async () => {
    const mounts = [
      '-v',
      `${process.cwd()}/deploy/helm/altup-serve/files:/rules:ro`,
      '-v',
      `${process.cwd()}/test/e2e/prometheus:/tests:ro`,
    ];
    const promtool = (...args: string[]) =>
      docker('run', '--rm', ...mounts, '--entrypoint', 'promtool', prometheusImage, ...args);
    expect(await promtool('check', 'rules', '/rules/alerts.yml')).toContain('SUCCESS: 12 rules found');
    expect(await promtool('test', 'rules', '/tests/alerts.test.yml')).toContain('SUCCESS');
  });

  it('are right about a service under load, and about one whose engine is killed', async () => {
    const network = await new Network().start();
    const service = await ServiceContainer.start({
      mortal: true,
      network: { of: network, alias: 'altup-serve' },
      settings: { ALTUP_MODELS: models.map((model) => `/models/${model}`).join() },
    });
    const prometheus = await PrometheusContainer.start(network);
    while ((await prometheus.targets()).length === 0) await setTimeout(200);

    const load = ConstantLoad.start({ url: service.url, models, requestsPerSecond: 8, tokens: 40 });
    await setTimeout(loadMs);
    const answers = await Promise.all(
      dashboardQueries().map(async ({ panel, query }) => ({
        panel,
        query,
        samples: await prometheus.query(query),
      })),
    );
    const targets = await prometheus.targets();
    expect(targets.map(({ labels, health }) => [labels.job, health])).toEqual([['altup-serve', 'up']]);
    expect(answers.length).toBeGreaterThan(30);
    const hasData = ({ samples }: (typeof answers)[number]) =>
      samples.length > 0 && samples.every(({ value }) => Number.isFinite(Number(value[1])));
    expect(answers.filter((answer) => !hasData(answer))).toEqual([]);
    const busy = answers.find(({ panel }) => panel === 'Tokens')!.samples[0]!;
    expect(Number(busy.value[1])).toBeGreaterThan(100);
    expect(await prometheus.alerts()).toEqual([]);
    await load.end();
    expect(load.failures).toEqual([]);
    console.log(`${load.completed} streams, ${answers.length} queries with data, no alert`);

    await service.signal('SIGWINCH');
    const killedAt = performance.now();
    const firing = async () => (await prometheus.alerts()).filter(({ state }) => state === 'firing');
    while ((await firing()).length === 0) await setTimeout(500);
    console.log(
      `an alert ${Math.round((performance.now() - killedAt) / 1000)} s after the engine was killed`,
    );
    expect((await firing()).map(({ labels }) => labels)).toMatchObject([
      { alertname: 'AltupEngineRestarted', severity: 'warning', job: 'altup-serve' },
    ]);
    while ((await fetch(`${service.url}/health/ready`)).status !== 200) await setTimeout(100);
    expect(await service.stop()).toBe(0);
    // Docker's DNS may forget the container before Prometheus notices that it is down, so either alert will do.
    const isMissed = ({ labels }: { labels: Record<string, string> }) =>
      ['AltupDown', 'AltupAbsent'].includes(labels.alertname!);
    while (!(await prometheus.alerts()).some(isMissed)) await setTimeout(500);
  });
});
