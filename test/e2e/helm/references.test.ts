import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { closingMs } from '../../../src/cli/serve-command.ts';
import { configRows } from '../../../src/config/config.ts';
import { createMetricsCatalogue } from '../../../src/observability/metrics-catalogue.ts';
import { type Chart, describeChart, variants } from '../../support/kubernetes/chart.ts';
import { type Manifest, ofKind, selects } from '../../support/kubernetes/manifest.ts';

const metricNames = createMetricsCatalogue()
  .registry.getMetricsAsArray()
  .map(({ name }) => name);
const routes = Object.keys(JSON.parse(readFileSync('openapi/openapi.json', 'utf8')).paths);

interface Volume {
  name: string;
  configMap?: { name: string };
  projected?: { sources: { secret: { items: { path: string }[] } }[] };
}

/** A rendered chart, with each list of references and their targets. */
class Rendered {
  readonly manifests: Manifest[];
  readonly deployment: Manifest;
  readonly service: Manifest;

  private constructor(manifests: Manifest[]) {
    this.manifests = manifests;
    this.deployment = ofKind(manifests, 'Deployment');
    this.service = ofKind(manifests, 'Service');
  }

  static async of(chart: Chart, variant: (typeof variants)[number]): Promise<Rendered> {
    return new Rendered(await chart.render(variant));
  }

  get pod() {
    return this.deployment.spec.template;
  }

  get container() {
    return this.pod.spec.containers[0];
  }

  get containers() {
    return [...this.pod.spec.containers, ...(this.pod.spec.initContainers ?? [])];
  }

  get ports(): (string | number)[] {
    return this.container.ports.flatMap(
      ({ name, containerPort }: { name: string; containerPort: number }) => [name, containerPort],
    );
  }

  all(kind: string): Manifest[] {
    return this.manifests.filter((manifest) => manifest.kind === kind);
  }
}

describeChart('what the chart refers to exists', (chart) => {
  describe.each(variants)('with the values %s', (variant) => {
    it('every selector finds the pods, or the Service', async () => {
      const rendered = await Rendered.of(chart(), variant);
      const labels = rendered.pod.metadata.labels;
      const { spec } = rendered.deployment;
      const pods = [
        spec.selector.matchLabels,
        rendered.service.spec.selector,
        ...rendered.all('PodDisruptionBudget').map((each) => each.spec.selector.matchLabels),
        ...rendered.all('NetworkPolicy').map((each) => each.spec.podSelector.matchLabels),
        ...rendered.all('InferencePool').map((each) => each.spec.selector.matchLabels),
        ...(rendered.pod.spec.topologySpreadConstraints ?? []).map(
          (each: { labelSelector: { matchLabels: Record<string, string> } }) =>
            each.labelSelector.matchLabels,
        ),
      ];
      for (const selector of pods) expect(selects(selector, labels), JSON.stringify(selector)).toBe(true);
      for (const { spec } of rendered.all('ServiceMonitor')) {
        expect(selects(spec.selector.matchLabels, rendered.service.metadata.labels)).toBe(true);
        // The alerts query this job.
        expect(spec.endpoints[0].relabelings).toEqual([
          { action: 'replace', targetLabel: 'job', replacement: 'altup-serve' },
        ]);
      }
    });

    it('every port is one of the container, or of the Service', async () => {
      const rendered = await Rendered.of(chart(), variant);
      const { ports, container, service } = rendered;
      for (const { targetPort } of service.spec.ports) expect(ports).toContain(targetPort);
      for (const { spec } of rendered.all('InferencePool'))
        expect(ports).toContain(spec.targetPorts[0].number);
      for (const { spec } of rendered.all('NetworkPolicy'))
        expect(ports).toContain(spec.ingress[0].ports[0].port);
      const names = service.spec.ports.map(({ name }: { name: string }) => name);
      for (const { spec } of rendered.all('ServiceMonitor')) {
        expect(names).toContain(spec.endpoints[0].port);
        expect(routes).toContain(spec.endpoints[0].path);
      }
      const env = Object.fromEntries(
        container.env.map(({ name, value }: Record<string, string>) => [name, value]),
      );
      for (const { spec } of rendered.all('Ingress')) {
        for (const { http } of spec.rules)
          for (const { backend } of http.paths)
            expect(backend.service).toEqual({ name: service.metadata.name, port: { name: names[0] } });
      }
      expect(ports).toContain(Number(env.ALTUP_PORT));
    });

    it('every probe asks a route of the service at a port of the container', async () => {
      const { container, ports } = await Rendered.of(chart(), variant);
      const asked = ['startupProbe', 'readinessProbe', 'livenessProbe'].map(
        (probe) => container[probe].httpGet,
      );
      expect(asked.map(({ path }) => path)).toEqual(['/health/ready', '/health/ready', '/health/live']);
      for (const { path, port } of asked) {
        expect(routes).toContain(path);
        expect(ports).toContain(port);
      }
    });

    it('autoscalers scale the Deployment, by a metric that the service has', async () => {
      const rendered = await Rendered.of(chart(), variant);
      const { name } = rendered.deployment.metadata;
      const isScaled =
        rendered.all('HorizontalPodAutoscaler').length + rendered.all('ScaledObject').length > 0;
      // With a number here, each update would undo the autoscaler's work.
      expect('replicas' in rendered.deployment.spec).toBe(!isScaled);
      for (const { spec } of rendered.all('HorizontalPodAutoscaler')) {
        expect(spec.scaleTargetRef).toEqual({ apiVersion: 'apps/v1', kind: 'Deployment', name });
        for (const { pods } of spec.metrics) expect(metricNames).toContain(pods.metric.name);
      }
      for (const { spec } of rendered.all('ScaledObject')) {
        expect(spec.scaleTargetRef.name).toBe(name);
        for (const { metadata } of spec.triggers) {
          const [, metric, service] = /^sum\((\w+)\{namespace="models",service="([^"]+)"\}\)$/.exec(
            metadata.query,
          )!;
          expect(metricNames).toContain(metric);
          expect(service).toBe(rendered.service.metadata.name);
        }
      }
    });

    it('every mount has its volume, every map and account is there', async () => {
      const rendered = await Rendered.of(chart(), variant);
      const { spec } = rendered.pod;
      const volumes = (spec.volumes ?? []) as Volume[];
      const mounted = rendered.containers.flatMap(({ volumeMounts = [] }) => volumeMounts) as {
        name: string;
      }[];
      expect([...new Set(mounted.map(({ name }) => name))].sort()).toEqual(
        volumes.map(({ name }) => name).sort(),
      );
      const maps = rendered.all('ConfigMap').map(({ metadata }) => metadata.name);
      for (const { name, configMap } of volumes)
        if (configMap && name === 'download') expect(maps).toContain(configMap.name);
      const accounts = [...rendered.all('ServiceAccount').map(({ metadata }) => metadata.name), 'default'];
      expect(accounts).toContain(spec.serviceAccountName);
      if (spec.initContainers) {
        const downloads = JSON.parse(ofKind(rendered.manifests, 'ConfigMap').data!['downloads.json']!);
        const { sources = [] } = volumes.find(({ name }) => name === 'download-credentials')?.projected ?? {};
        const files = sources.flatMap(({ secret }) => secret.items.map(({ path }) => path));
        expect(downloads.credentials.map(({ file }: { file: string }) => file)).toEqual(
          files.map((path) => `/download-credentials/${path}`),
        );
      }
      for (const { spec } of rendered.all('HTTPRoute')) {
        expect(spec.rules[0].backendRefs[0].name).toBe(
          ofKind(rendered.manifests, 'InferencePool').metadata.name,
        );
      }
    });

    it('every setting is one of the service, and no other variable looks like one', async () => {
      const { container, pod } = await Rendered.of(chart(), variant);
      const known = configRows().map(({ variable }) => variable);
      const names: string[] = container.env.map(({ name }: { name: string }) => name);
      for (const name of names) if (name.startsWith('ALTUP_')) expect(known).toContain(name);
      expect([...new Set(names)]).toEqual(names);
      expect(pod.spec.enableServiceLinks).toBe(false);
    });

    it('leaves a pod the time to drain', async () => {
      const { container, pod } = await Rendered.of(chart(), variant);
      const drain = container.env.find(
        ({ name }: { name: string }) => name === 'ALTUP_DRAIN_TIMEOUT_MS',
      ).value;
      const neededMs = 1000 * container.lifecycle.preStop.sleep.seconds + Number(drain) + closingMs;
      expect(1000 * pod.spec.terminationGracePeriodSeconds).toBeGreaterThan(neededMs);
    });

    it('asks for no right that it does not need', async () => {
      const { containers, pod } = await Rendered.of(chart(), variant);
      expect(pod.spec.automountServiceAccountToken).toBe(false);
      expect(pod.spec.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 10001 });
      for (const { securityContext } of containers) {
        expect(securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          runAsNonRoot: true,
          capabilities: { drop: ['ALL'] },
          seccompProfile: { type: 'RuntimeDefault' },
        });
      }
    });
  });
});
