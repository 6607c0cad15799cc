import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { fewModels } from '../support/cluster/model-claim.ts';
import { endLoad } from '../support/cluster/outcomes.ts';
import { kubectl, Release, smallPods } from '../support/cluster/release.ts';
import { serviceLoad } from '../support/cluster/service-load.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const namespace = 'upgrade';
/** The last commit with the chart before its values for IPv6, digests, an Ingress and credentials. */
const earlier = 'd80f7e9';

beforeAll(() => kubectl().createNamespace(namespace));

it('a release of an earlier chart is upgraded and rolled back, and no request fails', async () => {
  const folder = await temporaryFolder();
  const archive = execFileSync('git', ['archive', earlier, 'deploy/helm'], { maxBuffer: 64 * 1024 * 1024 });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  const release = new Release(namespace);
  const values = { ...smallPods, models: await fewModels(namespace), replicas: 2 };
  await release.upgrade(values, join(folder, 'deploy/helm/altup-serve'));
  const load = await serviceLoad(release);
  await release.upgrade(values);
  await release.rollBack();
  await release.upgrade(values);
  await endLoad('upgrade from an earlier chart, back, and again', load);
  expect(load.failures).toEqual([]);
  expect(load.completed).toBeGreaterThan(30);
  await release.uninstall();
});
