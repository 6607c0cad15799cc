import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { ComposeProject, composeCommand } from '../support/containers/compose.ts';
import { describeDocker } from '../support/containers/describe-docker.ts';
import {
  buildPrometheusImage,
  buildServiceImage,
  buildTimeoutMs,
  prometheusImage,
  serviceImage,
} from '../support/containers/images.ts';
import { freePort } from '../support/free-port.ts';

const command = composeCommand();

const tests = (compose: readonly string[]) => {
  beforeAll(async () => {
    await buildServiceImage();
    await buildPrometheusImage();
  }, buildTimeoutMs);

  it('is valid, with and without a GPU', async () => {
    const project = new ComposeProject(compose, {});
    const servicesOf = async (...args: string[]) =>
      Object.keys(parse(await project.run(...args, 'config')).services);
    expect((await servicesOf()).sort()).toEqual(
      expect.arrayContaining(['altup-serve', 'grafana', 'prometheus']),
    );
    expect(await servicesOf('--profile', 'gpu')).toContain('altup-serve-gpu');
  });

  it('brings up the service, watched by Prometheus, and ends in order', async () => {
    const [port, prometheusPort] = [await freePort(), await freePort()];
    const project = new ComposeProject(compose, {
      ALTUP_IMAGE: serviceImage,
      ALTUP_HOST_PORT: String(port),
      PROMETHEUS_IMAGE: prometheusImage,
      PROMETHEUS_HOST_PORT: String(prometheusPort),
    });
    onTestFinished(async () => void (await project.run('down', '--volumes', '--timeout', '20')));
    await project.run('up', '--detach', '--no-build', 'altup-serve', 'prometheus');
    while ((await project.healthOf('altup-serve')) !== 'healthy') await setTimeout(500);
    const answer = await fetch(`http://127.0.0.1:${port}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'austen-t5-altup-k2', prompt: 'It is a truth', max_tokens: 4 }),
    });
    expect(answer.status).toBe(200);
    const query = `http://127.0.0.1:${prometheusPort}/api/v1/query?query=sum(altup_generated_tokens_total)`;
    const generated = async () =>
      ((await (await fetch(query)).json()) as { data: { result: { value: [number, string] }[] } }).data
        .result[0]?.value[1];
    while (Number((await generated()) ?? 0) === 0) await setTimeout(500);
    expect(await project.run('logs', 'altup-serve')).not.toContain('exported');
  });
};

const missing = 'neither docker-compose nor docker compose is installed';
if (command === null) describe.skip(`docker-compose.yml (skipped: ${missing})`, () => tests([]));
else describeDocker('docker-compose.yml', () => tests(command));

// Grafana's image is only available from a registry, so this test only checks its mounted files against each other.
it('mounts for Grafana what its provisioning names', async () => {
  const read = async (path: string) => parse(await readFile(path, 'utf8'));
  const { services } = await read('docker-compose.yml');
  const mounts: string[] = services.grafana.volumes;
  const { providers } = await read('deploy/grafana/provisioning/dashboards/altup-serve.yml');
  const dashboard = `${providers[0].options.path}/altup-serve.json`;
  expect(mounts).toContain(`./deploy/helm/altup-serve/files/dashboard.json:${dashboard}:ro`);
  expect(services.grafana.environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH).toBe(dashboard);
  const { datasources } = await read('deploy/grafana/provisioning/datasources/prometheus.yml');
  expect(datasources[0].url).toBe('http://prometheus:9090');
  expect(Object.keys(services)).toContain('prometheus');
});
