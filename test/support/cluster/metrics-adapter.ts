import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inject, onTestFinished } from 'vitest';
import { hostAddress } from './cluster.ts';
import { until } from './kubectl.ts';
import { kubectl, type Release } from './release.ts';

const adapterPort = 6444;
const prometheus = 'http://127.0.0.1:9090';
const versions = ['v1beta1', 'v1beta2'];

/** Starts Prometheus, which reads the release's pods, and prometheus-adapter with the rules of docs/kubernetes.md. */
export async function serveCustomMetrics(release: Release): Promise<void> {
  const { tools, folder } = inject('cluster');
  const kubeconfig = kubectl().kubeconfig;
  const targets = join(folder, 'targets.json');
  await writeFile(join(folder, 'prometheus.json'), JSON.stringify(prometheusConfiguration(targets)));
  followPods(release, targets);
  await writeFile(join(folder, 'adapter.yml'), documentedRules());
  start(
    'prometheus',
    'prometheus',
    `--config.file=${join(folder, 'prometheus.json')}`,
    `--storage.tsdb.path=${join(folder, 'prometheus')}`,
    '--web.listen-address=127.0.0.1:9090',
  );
  start(
    'prometheus-adapter',
    join(tools, 'prometheus-adapter'),
    `--prometheus-url=${prometheus}`,
    `--config=${join(folder, 'adapter.yml')}`,
    `--secure-port=${adapterPort}`,
    `--cert-dir=${join(folder, 'adapter')}`,
    '--metrics-relist-interval=5s',
    ...['', 'authentication-', 'authorization-'].map(
      (part) => `--${part || 'lister-'}kubeconfig=${kubeconfig}`,
    ),
  );
  await register();
  await until('the API server has the metric', async () =>
    (await kubectl().run('get', '--raw', '/apis/custom.metrics.k8s.io/v1beta2')).includes(
      'altup_requests_waiting',
    ),
  );
}

/** Keeps a list of the release's pods for Prometheus, until the test ends. */
function followPods(release: Release, file: string): void {
  const timer = setInterval(async () => {
    const pods = (await release.pods().catch(() => [])).filter(({ status }) => status.podIP);
    const targets = pods.map(({ metadata, status }) => ({
      targets: [`${status.podIP}:8080`],
      labels: { namespace: release.namespace, pod: metadata.name },
    }));
    await writeFile(`${file}.partial`, JSON.stringify(targets));
    await rename(`${file}.partial`, file);
  }, 2000);
  onTestFinished(() => clearInterval(timer));
}

/** Ends with the test. */
function start(name: string, program: string, ...args: string[]): void {
  const log = openSync(join(inject('cluster').folder, `${name}.log`), 'a');
  const child = spawn(program, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  onTestFinished(() => {
    child.kill();
  });
}

const prometheusConfiguration = (targets: string) => ({
  global: { scrape_interval: '2s' },
  scrape_configs: [
    {
      job_name: 'altup-serve',
      // Debian builds Prometheus without Kubernetes' discovery.
      file_sd_configs: [{ files: [targets], refresh_interval: '1s' }],
    },
  ],
});

/** The first block of YAML in docs/kubernetes.md with rules of the adapter, as prometheus-adapter reads them. */
function documentedRules(): string {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/kubernetes.md'), 'utf8');
  const [, rules] = /```yaml\nrules:\n {2}custom:\n([\s\S]*?)```/.exec(page)!;
  return `rules:\n${rules}`;
}

/** Has the API server ask the adapter, which is not a pod here. */
async function register(): Promise<void> {
  const namespace = 'monitoring';
  const metadata = { name: 'adapter', namespace };
  await kubectl().createNamespace(namespace);
  await kubectl().apply([
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { ports: [{ port: 443, targetPort: adapterPort }] },
    },
    // Not an EndpointSlice: the API server looks for this kind.
    {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata,
      subsets: [{ addresses: [{ ip: hostAddress }], ports: [{ port: adapterPort }] }],
    },
    ...versions.map((version, i) => ({
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      metadata: { name: `${version}.custom.metrics.k8s.io` },
      spec: {
        group: 'custom.metrics.k8s.io',
        version,
        service: { name: 'adapter', namespace, port: 443 },
        insecureSkipTLSVerify: true,
        groupPriorityMinimum: 100,
        versionPriority: 100 + i,
      },
    })),
  ]);
}
