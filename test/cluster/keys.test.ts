import { setTimeout } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { until } from '../support/cluster/kubectl.ts';
import { fewModels } from '../support/cluster/model-claim.ts';
import { endLoad } from '../support/cluster/outcomes.ts';
import { kubectl, Release, smallPods } from '../support/cluster/release.ts';
import { serviceLoad } from '../support/cluster/service-load.ts';

const namespace = 'keys';
const release = new Release(namespace);

async function writeKeys(...keys: string[]): Promise<void> {
  const metadata = { name: 'altup-keys', namespace };
  await kubectl().apply([
    { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { keys: keys.join('\n') } },
  ]);
}

/** Asks each pod itself. */
async function statusesWith(key: string): Promise<number[]> {
  const pods = await release.readyPods();
  return Promise.all(
    pods.map(async ({ status }) => {
      const headers = { authorization: `Bearer ${key}` };
      return (await fetch(`http://${status.podIP}:8080/v1/models`, { headers })).status;
    }),
  );
}

beforeAll(() => kubectl().createNamespace(namespace));

it('keys change with the Secret: no pod restarts, and clients that change over in between notice nothing', async () => {
  await writeKeys('first-key reading');
  await release.upgrade({
    ...smallPods,
    models: await fewModels(namespace),
    replicas: 2,
    apiKeys: { existingSecret: 'altup-keys' },
  });
  let key = 'first-key';
  const load = await serviceLoad(release, { headers: () => ({ authorization: `Bearer ${key}` }) });
  expect(await statusesWith('second-key')).toEqual([401, 401]);

  await writeKeys('first-key reading', 'second-key reading');
  await until('both pods accept the second key', async () =>
    (await statusesWith('second-key')).every((status) => status === 200),
  );
  expect(await statusesWith('first-key')).toEqual([200, 200]);
  key = 'second-key';
  await setTimeout(2000);

  await writeKeys('second-key reading');
  await until('both pods refuse the first key', async () =>
    (await statusesWith('first-key')).every((status) => status === 401),
  );
  await endLoad('keys rotated', load);
  expect(load.failures).toEqual([]);
  const pods = await release.readyPods();
  expect(pods.map(({ status }) => status.containerStatuses[0].restartCount)).toEqual([0, 0]);
  await release.uninstall();
});
