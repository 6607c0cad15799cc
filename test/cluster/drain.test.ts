import { setTimeout } from 'node:timers/promises';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { fewModels } from '../support/cluster/model-claim.ts';
import { endLoad } from '../support/cluster/outcomes.ts';
import { kubectl, Release, smallPods } from '../support/cluster/release.ts';
import { serviceLoad } from '../support/cluster/service-load.ts';

const namespace = 'drain';
const release = new Release(namespace);

beforeAll(() => kubectl().createNamespace(namespace));

it('a node with all pods is drained: one pod after the other, and no request fails', async () => {
  onTestFinished(async () => {
    await kubectl().run('uncordon', 'node-1', 'node-2');
  });
  await kubectl().run('cordon', 'node-1');
  await release.upgrade({ ...smallPods, models: await fewModels(namespace), replicas: 2 });
  expect((await release.readyPods()).map(({ spec }) => spec.nodeName)).toEqual(['node-2', 'node-2']);
  await kubectl().run('uncordon', 'node-1');

  const load = await serviceLoad(release);
  let isDrained = false;
  const drain = kubectl()
    .run('drain', 'node-2', '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=600s')
    .finally(() => {
      isDrained = true;
    });
  let fewestReady = 2;
  while (!isDrained) {
    fewestReady = Math.min(fewestReady, (await release.readyPods()).length);
    await setTimeout(200);
  }
  await drain;
  await release.rolledOut();
  await endLoad('node drained', load);
  expect(load.failures).toEqual([]);
  expect(fewestReady).toBe(1);
  expect((await release.readyPods()).map(({ spec }) => spec.nodeName)).toEqual(['node-1', 'node-1']);
  await release.uninstall();
});
