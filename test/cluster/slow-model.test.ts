import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { basename, join } from 'node:path';
import { beforeAll, expect, inject, it, onTestFinished } from 'vitest';
import { writeRandomGemma3n } from '../../scripts/random-gemma3n/write-checkpoint.ts';
import { hostAddress } from '../support/cluster/cluster.ts';
import type { Found } from '../support/cluster/kubectl.ts';
import { endLoad } from '../support/cluster/outcomes.ts';
import { kubectl, Release, smallPods } from '../support/cluster/release.ts';
import { serviceLoad } from '../support/cluster/service-load.ts';
import { smallGemma3n } from '../support/small-gemma3n.ts';

const namespace = 'slow-model';
const release = new Release(namespace);
const port = 8443;
const token = 'token-of-the-store';

/** Random weights that take 20 s to become int4 and to load in a pod with half a CPU. */
const shape = {
  ...smallGemma3n,
  num_hidden_layers: 14,
  hidden_size: 768,
  hidden_size_per_layer_input: 64,
  intermediate_size: 3072,
  head_dim: 64,
  vocab_size: 16_000,
  vocab_size_per_layer_input: 15_900,
};

/** Serves the files over HTTPS to who has the token. */
async function openStore(models: string, certificates: string): Promise<void> {
  const key = join(certificates, 'store.key');
  const certificate = join(certificates, 'store.crt');
  const names = ['-subj', '/CN=store', '-addext', `subjectAltName=IP:${hostAddress}`];
  const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate, '-days', '2', ...names];
  execFileSync('openssl', ['req', '-x509', ...made], { stdio: 'ignore' });
  const options = { key: readFileSync(key), cert: readFileSync(certificate) };
  const server = createServer(options, (request, response) => {
    if (request.headers.authorization !== `Bearer ${token}`) response.writeHead(401).end();
    else createReadStream(join(models, basename(request.url!))).pipe(response);
  });
  await once(server.listen(port, hostAddress), 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const ca = { name: 'store-ca', namespace };
  await kubectl().apply([
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: ca,
      data: { 'ca.crt': readFileSync(certificate, 'utf8') },
    },
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'store', namespace }, stringData: { token } },
  ]);
}

const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Seconds from the start of the service's container until it was ready. */
function secondsToReady({ status }: Found): number {
  const started = Date.parse(status.containerStatuses[0].state.running.startedAt);
  const { lastTransitionTime } = status.conditions.find(({ type }: { type: string }) => type === 'Ready');
  return (Date.parse(lastTransitionTime) - started) / 1000;
}

beforeAll(() => kubectl().createNamespace(namespace));

it('no request fails over three upgrades of pods that download a model and need 20 s to load it', async () => {
  const models = join(inject('cluster').folder, 'slow');
  await writeRandomGemma3n(models, shape);
  await openStore(models, inject('cluster').folder);
  const host = `${hostAddress}:${port}`;
  const files = readdirSync(models).map((file) => ({
    url: `https://${host}/${file}`,
    path: `slow/${file}`,
    sha256: sha256(join(models, file)),
  }));
  const values = {
    ...smallPods,
    replicas: 2,
    // Both new pods load at the same time.
    updateStrategy: { rollingUpdate: { maxSurge: 2, maxUnavailable: 0 } },
    models: {
      source: 'download',
      download: { files, credentials: [{ host, secretName: 'store', secretKey: 'token' }] },
    },
    extraEnv: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/certificates/ca.crt' }],
    extraVolumes: [{ name: 'certificates', configMap: { name: 'store-ca' } }],
    extraVolumeMounts: [{ name: 'certificates', mountPath: '/certificates', readOnly: true }],
    resources: { requests: { cpu: '100m', memory: '512Mi' }, limits: { cpu: '500m', memory: '3Gi' } },
  };
  const settings = { ALTUP_STRICT: true, ALTUP_PRECISION: 'int4' };
  await release.upgrade({ ...values, settings });
  const load = await serviceLoad(release, { models: ['slow'], tokens: 8, requestsPerSecond: 1 });
  const seconds: number[] = [];
  for (const slots of [3, 4, 5]) {
    await release.upgrade({ ...values, settings: { ...settings, ALTUP_SLOTS: slots } });
    seconds.push(...(await release.readyPods()).map(secondsToReady));
  }
  await endLoad('3 upgrades, model loads for 20 s', load);
  console.log(`pods were ready ${seconds.map((each) => each.toFixed(0)).join(', ')} s after their start`);
  expect(Math.min(...seconds)).toBeGreaterThanOrEqual(20);
  expect(load.failures).toEqual([]);
  await release.uninstall();
});
