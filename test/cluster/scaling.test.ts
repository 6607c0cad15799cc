import { beforeAll, expect, it } from 'vitest';
import { until } from '../support/cluster/kubectl.ts';
import { serveCustomMetrics } from '../support/cluster/metrics-adapter.ts';
import { fewModels } from '../support/cluster/model-claim.ts';
import { endLoad } from '../support/cluster/outcomes.ts';
import { kubectl, Release, smallPods } from '../support/cluster/release.ts';
import { ClientsLoad } from '../support/constant-load.ts';

const namespace = 'scaling';
const release = new Release(namespace);

beforeAll(() => kubectl().createNamespace(namespace));

it('pods follow the queue from one to four and back, and no stream is lost', async () => {
  await release.upgrade({
    ...smallPods,
    models: await fewModels(namespace),
    settings: {
      ALTUP_STRICT: true,
      ALTUP_SLOTS: 2,
      // Requests wait until the new pods are there, however busy this machine is.
      ALTUP_QUEUE_TIMEOUT_MS: 300_000,
      ALTUP_REQUEST_TIMEOUT_MS: 600_000,
    },
    autoscaling: { kind: 'hpa', minReplicas: 1, maxReplicas: 4, waitingPerPod: 4, scaleDownSeconds: 15 },
  });
  const load = ClientsLoad.start({
    url: await release.url(),
    models: ['austen-t5-dense'],
    tokens: 100,
    // A Service chooses a pod for each connection.
    headers: () => ({ connection: 'close' }),
    clients: 2,
  });
  await serveCustomMetrics(release);
  expect(await release.readyPods()).toHaveLength(1);
  load.setClients(24);
  await until('four pods are ready', async () => (await release.readyPods()).length === 4);
  load.setClients(2);
  await until('one pod is left', async () => (await release.pods()).length === 1);
  await endLoad('1 → 4 → 1 pods by queue length', load);
  expect(load.failures).toEqual([]);
  await release.uninstall();
});
