import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { describeChart, variants } from '../../support/kubernetes/chart.ts';
import { kubernetesVersions } from '../../support/kubernetes/kubernetes-schemas.ts';
import { type Manifest, ofKind } from '../../support/kubernetes/manifest.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

/** Example values in the chart's README, which readers copy. */
const examples = [
  ...readFileSync('deploy/helm/altup-serve/README.md', 'utf8').matchAll(/```yaml\n(.*?)```/gs),
].map(([, text]) => text!);

/** Image volumes are newer than the oldest Kubernetes version that the chart supports. */
const versionsFor = (variant: string | null) =>
  kubernetesVersions.filter((version) => variant !== 'keda' || version !== 'v1.30.0');

describeChart('the Helm chart', (chart) => {
  describe.each(variants)('with the values %s', (variant) => {
    it('passes lint', async () => {
      expect(await chart().lint(variant)).toContain('1 chart(s) linted, 0 chart(s) failed');
    });

    it.each(versionsFor(variant))('is valid in Kubernetes %s', async (version) => {
      const manifests = await chart().render(variant);
      expect(manifests.length).toBeGreaterThan(1);
      for (const manifest of manifests) {
        expect(chart().schemas.complaints(manifest, version), manifest.kind).toEqual([]);
      }
    });
  });

  it.each(examples)('renders what its README shows: %s', async (values) => {
    const file = join(await temporaryFolder(), 'values.yaml');
    await writeFile(file, values);
    const manifests = await chart().render(null, '--values', file);
    for (const manifest of manifests)
      expect(chart().schemas.complaints(manifest, 'v1.37.0'), manifest.kind).toEqual([]);
  });

  it('comes with objects for KServe that its schemas accept, and probes like its own', async () => {
    const [runtime, service] = parseAllDocuments(readFileSync('deploy/kserve/altup-serve.yaml', 'utf8')).map(
      (document) => document.toJS(),
    );
    for (const manifest of [runtime, service])
      expect(chart().schemas.complaints(manifest, 'v1.37.0'), manifest.kind).toEqual([]);
    const [container] = runtime.spec.containers;
    const { spec } = ofKind(await chart().render(null), 'Deployment').spec.template;
    const ofPort = (probe: object) => JSON.parse(JSON.stringify(probe).replace('"http"', '8080'));
    for (const field of ['startupProbe', 'readinessProbe', 'livenessProbe'])
      expect(container[field]).toEqual(ofPort(spec.containers[0][field]));
    for (const field of ['lifecycle', 'securityContext', 'resources'])
      expect(container[field]).toEqual(spec.containers[0][field]);
    expect(service.spec.predictor.terminationGracePeriodSeconds).toBe(spec.terminationGracePeriodSeconds);
    expect(service.spec.predictor.model.runtime).toBe(runtime.metadata.name);
  });

  it('renders every kind of object in one variant or another', async () => {
    const manifests = (await Promise.all(variants.map((variant) => chart().render(variant)))).flat();
    expect([...new Set(manifests.map(({ kind }) => kind))].sort()).toEqual([
      'ConfigMap',
      'Deployment',
      'HTTPRoute',
      'HorizontalPodAutoscaler',
      'InferencePool',
      'Ingress',
      'NetworkPolicy',
      'PodDisruptionBudget',
      'PrometheusRule',
      'ScaledObject',
      'Service',
      'ServiceAccount',
      'ServiceMonitor',
    ]);
  });

  describe('schemas refuse', () => {
    const refused: [string, string, 'keda' | 'gateway', (manifest: Manifest) => void][] = [
      [
        'a field that is none',
        'Deployment',
        'keda',
        ({ spec }) => Object.assign(spec.template.spec, { containres: [] }),
      ],
      [
        'a number for a text',
        'Deployment',
        'keda',
        ({ spec }) => Object.assign(spec.template.spec.containers[0].env[0], { value: 8 }),
      ],
      ['a missing selector', 'Deployment', 'keda', ({ spec }) => delete spec.selector],
      [
        'a custom field that is none',
        'ScaledObject',
        'keda',
        ({ spec }) => Object.assign(spec, { minReplicas: 1 }),
      ],
      [
        'a custom field of another type',
        'ServiceMonitor',
        'keda',
        ({ spec }) => Object.assign(spec.endpoints[0], { port: 80 }),
      ],
      ['a missing custom field', 'InferencePool', 'gateway', ({ spec }) => delete spec.targetPorts],
    ];
    it.each(refused)('%s (%s)', async (_, kind, variant, spoil) => {
      const manifest = ofKind(
        await chart()
          .render(variant, '--set', 'models.source=baked')
          .then((all) => all.filter((each) => each.kind === kind)),
        kind,
      );
      spoil(manifest);
      expect(chart().schemas.complaints(manifest, 'v1.37.0')).not.toEqual([]);
    });
  });
});
