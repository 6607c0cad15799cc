import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Found, until } from '../support/cluster/kubectl.ts';
import { claimFolder, damageModel, fewModels } from '../support/cluster/model-claim.ts';
import { endLoad } from '../support/cluster/outcomes.ts';
import { kubectl, Release, smallPods } from '../support/cluster/release.ts';
import { serviceLoad } from '../support/cluster/service-load.ts';

const namespace = 'rollouts';
const release = new Release(namespace);
let values: Record<string, unknown> = { ...smallPods, replicas: 2 };

/** Upgrades to values that no pod can start with, and returns the names of the pods that served before. */
async function tryInVain(broken: object): Promise<string[]> {
  const before = (await release.readyPods()).map(({ metadata }) => metadata.name);
  await release.begin({ ...values, ...broken });
  await until('a new pod has failed twice', async () => {
    const young = (await release.pods()).filter(({ metadata }) => !before.includes(metadata.name));
    return young.some((pod) => statusOf(pod)?.restartCount >= 2);
  });
  return before;
}

const statusOf = ({ status }: Found) => status.containerStatuses?.[0];

async function logOfFailure(before: readonly string[]): Promise<string> {
  const young = (await release.pods()).find(({ metadata }) => !before.includes(metadata.name))!;
  return kubectl().run('logs', young.metadata.name, '--namespace', namespace, '--previous');
}

async function addressesOfService(): Promise<string[]> {
  const slices = await kubectl().list(
    'endpointslices',
    '--namespace',
    namespace,
    '--selector',
    `kubernetes.io/service-name=${release.name}`,
  );
  // biome-ignore lint/suspicious/noExplicitAny: an EndpointSlice
  const endpoints = slices.flatMap((slice) => (slice as any).endpoints ?? []);
  return endpoints.filter(({ conditions }) => conditions.ready).map(({ targetRef }) => targetRef.name);
}

describe('a release under constant load', () => {
  beforeAll(() => kubectl().createNamespace(namespace));

  it('installs in a restricted namespace and answers at the address of its Service', async () => {
    await release.upgrade(values);
    const pods = await release.readyPods();
    expect(new Set(pods.map(({ spec }) => spec.nodeName)).size).toBe(2);
    const load = await serviceLoad(release);
    await setTimeout(5000);
    await endLoad('install', load);
    expect(load.failures).toEqual([]);
    expect(load.completed).toBeGreaterThan(10);
  });

  it('fails no request over three upgrades, the first of which moves the models to a claim', async () => {
    values = { ...values, models: await fewModels(namespace) };
    const load = await serviceLoad(release);
    for (const slots of [9, 10, 11]) {
      const before = (await release.readyPods()).map(({ metadata }) => metadata.name);
      await release.upgrade({ ...values, settings: { ALTUP_STRICT: true, ALTUP_SLOTS: slots } });
      const after = await release.readyPods();
      expect(after).toHaveLength(2);
      for (const { metadata } of after) expect(before).not.toContain(metadata.name);
    }
    await endLoad('3 upgrades', load);
    expect(load.failures).toEqual([]);
    expect(load.completed).toBeGreaterThan(60);
  });

  it('fails no request when it is rolled back', async () => {
    const load = await serviceLoad(release);
    await release.rollBack();
    await endLoad('rollback', load);
    expect(load.failures).toEqual([]);
    const [pod] = await release.readyPods();
    const { env } = pod!.spec.containers[0];
    expect(env).toContainEqual({ name: 'ALTUP_SLOTS', value: '10' });
  });

  it('a model that cannot be loaded stops the rollout, and the old pods go on', async () => {
    const models = await claimFolder(namespace, 'damaged');
    await damageModel(models, 'austen-t5-altup-k2');
    const load = await serviceLoad(release);
    const before = await tryInVain({ models: { source: 'pvc', pvc: { claimName: 'damaged' } } });
    expect(await logOfFailure(before)).toMatch(/austen-t5-altup-k2/);
    expect((await addressesOfService()).sort()).toEqual(before.sort());
    await release.rollBack();
    await endLoad('a model fails', load);
    expect(load.failures).toEqual([]);
    expect((await release.readyPods()).map(({ metadata }) => metadata.name).sort()).toEqual(before.sort());
  });

  it('a configuration that the service refuses never takes traffic', async () => {
    const load = await serviceLoad(release);
    const before = await tryInVain({
      settings: { ALTUP_STRICT: true, ALTUP_TRUSTED_PROXIES: 'nobody knows' },
    });
    expect(await logOfFailure(before)).toMatch(/ALTUP_TRUSTED_PROXIES/);
    expect((await addressesOfService()).sort()).toEqual(before.sort());
    await release.rollBack();
    await endLoad('a bad configuration', load);
    expect(load.failures).toEqual([]);
  });

  it('uninstalls', async () => {
    await release.uninstall();
    await until('nothing of it is left', async () => {
      const left = await kubectl().list('all,pdb,networkpolicies,endpointslices', '--namespace', namespace);
      return left.length === 0;
    });
  });
});
