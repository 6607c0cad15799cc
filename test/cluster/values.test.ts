import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineCustomResources } from '../support/cluster/custom-resources.ts';
import { until } from '../support/cluster/kubectl.ts';
import { kubectl, Release } from '../support/cluster/release.ts';
import { type ValueSet, valueSets } from '../support/cluster/value-sets.ts';

/** Installs a release whose pods no node takes. @returns who refused what; null if nothing was refused */
async function refusalOf(
  release: Release,
  { values }: ValueSet,
): Promise<{ by: string; message: string } | null> {
  try {
    await release.begin(values);
  } catch (error) {
    const message = String(error);
    const isOfServer = /is invalid|Invalid value|denied the request|failed to create|server rejected/.test(
      message,
    );
    return { by: isOfServer ? 'API server' : 'chart', message };
  }
  let message: string | null = null;
  await until('its pods are created or refused', async () => {
    const [{ spec, status } = { spec: null, status: null }] = await release.deployments();
    const failure = status.conditions?.find((each: { type: string }) => each.type === 'ReplicaFailure');
    message = failure?.message ?? null;
    return message !== null || (status.replicas ?? 0) === spec.replicas;
  });
  return message === null ? null : { by: 'admission of pods', message };
}

describe('values applied to an API server, in namespaces for restricted pods', () => {
  const results: string[] = [];

  beforeAll(async () => {
    await defineCustomResources();
    await kubectl().apply([
      { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: 'nvidia' }, handler: 'nvidia' },
      { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: '1e3' }, value: 1000 },
    ]);
  });
  afterAll(() => console.log(['| values | applied |', '|---|---|', ...results].join('\n')));

  it.each(valueSets.map((set, i) => ({ ...set, namespace: `values-${i}` })))('$name', async (set) => {
    const { name, namespace, refusal, releases = ['altup-serve'] } = set;
    await kubectl().createNamespace(namespace);
    const found = [];
    for (const each of releases) {
      const release = new Release(namespace, each);
      found.push(await refusalOf(release, set));
    }
    results.push(
      `| ${name} | ${found.map((each) => (each ? `refused by the ${each.by}` : 'accepted')).join(', ')} |`,
    );
    await kubectl().run('delete', 'namespace', namespace, '--wait=false');
    if (refusal)
      for (const each of found)
        expect(each).toMatchObject({ by: refusal.by, message: expect.stringMatching(refusal.message) });
    else expect(found).toEqual(releases.map(() => null));
  });
});
