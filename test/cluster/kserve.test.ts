import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { defineCustomResources } from '../support/cluster/custom-resources.ts';
import { isReady, until } from '../support/cluster/kubectl.ts';
import { claimFolder } from '../support/cluster/model-claim.ts';
import { kubectl, smallPods } from '../support/cluster/release.ts';
import { servedModels } from '../support/cluster/service-load.ts';

const namespace = 'kserve';
const [runtime, service] = parseAllDocuments(readFileSync('deploy/kserve/altup-serve.yaml', 'utf8')).map(
  (document) => document.toJS(),
);
const within = (manifest: typeof runtime) => ({ ...manifest, metadata: { ...manifest.metadata, namespace } });

describe('deploy/kserve', () => {
  beforeAll(async () => {
    await defineCustomResources();
    await kubectl().createNamespace(namespace);
  });

  it('is accepted by an API server that knows KServe, which refuses unknown fields', async () => {
    await kubectl().apply([within(runtime), within(service)]);
    const misspelt = { ...runtime, spec: { ...runtime.spec, supportedModelFormat: [] } };
    await expect(kubectl().apply([within(misspelt)])).rejects.toThrow(/supportedModelFormat/);
  });

  it("serves what is mounted where KServe mounts a model, as the runtime's container", async () => {
    await claimFolder(namespace, 'novels');
    const [container] = runtime.spec.containers;
    const { repository, tag } = smallPods.image as Record<string, string>;
    const mounted = {
      ...container,
      image: `${repository}:${tag}`,
      imagePullPolicy: 'Never',
      resources: smallPods.resources,
      volumeMounts: [{ name: 'models', mountPath: '/mnt/models', readOnly: true }],
    };
    const volumes = [{ name: 'models', persistentVolumeClaim: { claimName: 'novels', readOnly: true } }];
    const pod = { name: 'novels', namespace };
    await kubectl().apply([
      { apiVersion: 'v1', kind: 'Pod', metadata: pod, spec: { containers: [mounted], volumes } },
    ]);
    const find = () => kubectl().get('pod/novels', '--namespace', namespace);
    await until('the pod is ready', async () => isReady(await find()));
    const { status } = await find();
    const { data } = (await (await fetch(`http://${status.podIP}:8080/v1/models`)).json()) as {
      data: { id: string }[];
    };
    expect(data.map(({ id }) => id).sort()).toEqual([...servedModels].sort());
    await kubectl().run('delete', 'namespace', namespace, '--wait=false');
  });
});
