import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../../../package.json' with { type: 'json' };
import { configRows } from '../../../src/config/config.ts';
import { describeChart, type Variant } from '../../support/kubernetes/chart.ts';
import { ofKind } from '../../support/kubernetes/manifest.ts';

const chartFile = (name: string) => readFile(`deploy/helm/altup-serve/${name}`, 'utf8');
/** Settings that the chart derives from its own values. */
const ownSettings = [
  'ALTUP_MODELS',
  'ALTUP_HOST',
  'ALTUP_PORT',
  'ALTUP_DRAIN_TIMEOUT_MS',
  'ALTUP_API_KEYS',
  'ALTUP_API_KEYS_FILE',
];

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

interface HTTPRouteRule {
  matches: { path: { type: string; value: string } }[];
}

interface OpenApi {
  paths: Record<string, Record<string, { security?: object[] }>>;
}

/** Matches paths like Ingress and HTTPRoute: a prefix ends at the end of a segment. */
const matcher =
  (rule: string, isPrefix: boolean) =>
  (path: string): boolean =>
    path === rule || (isPrefix && path.startsWith(rule.replace(/\/?$/, '/')));

interface Schema {
  properties?: Record<string, Schema>;
}

/** Paths of the values in a schema or in the defaults; `withSections` adds the paths of whole groups. */
function paths(value: unknown, { withSections = false, at = '' } = {}): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [at];
  const inner = Object.entries(value).flatMap(([name, inner]) =>
    paths(inner, { withSections, at: at === '' ? name : `${at}.${name}` }),
  );
  return withSections && at !== '' ? [at, ...inner] : inner;
}

function hasPath(schema: Schema, path: string): boolean {
  const [first, ...rest] = path.split('.');
  if (schema.properties === undefined || first === '') return true;
  const inner = schema.properties[first!];
  return inner !== undefined && hasPath(inner, rest.join('.'));
}

it('the schema knows every value, and every setting that a value may be', async () => {
  const schema = JSON.parse(await chartFile('values.schema.json'));
  for (const path of paths(parse(await chartFile('values.yaml'))))
    expect(hasPath(schema, path), path).toBe(true);
  const settings = configRows()
    .map(({ variable }) => variable)
    .filter((name) => !ownSettings.includes(name));
  expect(schema.properties.settings.propertyNames.enum).toEqual(settings);
});

it('the chart is of the version of the service', async () => {
  const { version, appVersion } = parse(await chartFile('Chart.yaml'));
  expect({ version, appVersion }).toEqual({ version: packageJson.version, appVersion: packageJson.version });
});

describeChart('values', (chart) => {
  /** Variables of the service's container. */
  async function environmentOf(variant: Variant): Promise<Record<string, string>> {
    const [container] = ofKind(await chart().render(variant), 'Deployment').spec.template.spec.containers;
    return Object.fromEntries(container.env.map(({ name, value }: Record<string, string>) => [name, value]));
  }

  it.each([
    ['a value that is none', 'replica=3', /replica/],
    ['a setting that is none', 'settings.ALTUP_SLOT=3', /ALTUP_SLOT/],
    ['a setting that the chart makes', 'settings.ALTUP_PORT=3', /ALTUP_PORT/],
    ['a source that is none', 'models.source=s3', /source/],
    ['a claim without a name', 'models.source=pvc', /models\.pvc\.claimName/],
    ['a pool without an endpoint picker', 'gateway.enabled=true', /gateway\.endpointPicker\.name/],
    ['a host that pods cannot be asked at', 'host=127.0.0.1', /host/],
    ['a host by name', 'host=localhost', /host/],
    ['a digest that is none', 'image.digest=sha256:1234', /digest/],
    ['a variable that the chart makes', 'extraEnv[0].name=ALTUP_PORT', /extraEnv/],
    ['a variable that is a number', 'extraEnv[0].name=A,extraEnv[0].value=8', /extraEnv/],
    ['a path that is none', 'publicPaths[0].path=v1,publicPaths[0].type=Prefix', /publicPaths/],
    [
      'more pods at least than at most',
      'autoscaling.kind=hpa,autoscaling.minReplicas=9',
      /autoscaling\.minReplicas.*autoscaling\.maxReplicas \(8\)/,
    ],
    ['the same for KEDA', 'autoscaling.kind=keda,autoscaling.minReplicas=9', /autoscaling\.minReplicas/],
    [
      'a policy that keeps Prometheus out',
      'networkPolicy.from[0].podSelector.matchLabels.a=b,metrics.serviceMonitor.enabled=true',
      /networkPolicy\.metricsFrom/,
    ],
    [
      'a policy that keeps the endpoint picker out',
      'networkPolicy.from[0].podSelector.matchLabels.a=b,gateway.enabled=true,gateway.endpointPicker.name=a',
      /networkPolicy\.metricsFrom/,
    ],
  ])('refuse %s, by name', async (_, value, complaint) => {
    await expect(chart().render(null, '--set', value)).rejects.toThrow(complaint);
  });

  it('may be null, each of them, or are refused by name', async () => {
    const rendered: string[] = [];
    for (const path of paths(parse(await chartFile('values.yaml')), { withSections: true })) {
      const outcome = await chart()
        .render(null, '--set-json', `${path}=null`)
        .catch(({ message }: Error) => message);
      if (typeof outcome === 'string') {
        expect(outcome, path).toContain(`missing property '${path.split('.').at(-1)}'`);
        continue;
      }
      rendered.push(path);
      for (const manifest of outcome)
        expect(chart().schemas.complaints(manifest, 'v1.37.0'), path).toEqual([]);
    }
    expect(rendered).toEqual(expect.arrayContaining(['resources', 'tolerations', 'settings', 'image.tag']));
  }, 240_000);

  it.each(['hpa', 'keda'])(
    'have %s add pods for waiting sequences, and for prompts if asked',
    async (kind) => {
      const metrics = async (values: string) => {
        const manifests = await chart().render(null, '--set', `autoscaling.kind=${kind}${values}`);
        const { spec } = ofKind(manifests, kind === 'hpa' ? 'HorizontalPodAutoscaler' : 'ScaledObject');
        return JSON.stringify(spec).match(/altup_(requests_waiting|prefill_backlog_seconds)/g);
      };
      expect(await metrics('')).toEqual(['altup_requests_waiting']);
      expect(await metrics(',autoscaling.backlogSecondsPerPod=10')).toEqual([
        'altup_requests_waiting',
        'altup_prefill_backlog_seconds',
      ]);
    },
  );

  it('mount API keys where the service looks for them', async () => {
    const manifests = await chart().render(
      null,
      '--set',
      'apiKeys.existingSecret=keys,apiKeys.secretKey=list',
    );
    const { containers, volumes } = ofKind(manifests, 'Deployment').spec.template.spec;
    const file = containers[0].env.find(({ name }: { name: string }) => name === 'ALTUP_API_KEYS_FILE').value;
    const { mountPath } = containers[0].volumeMounts[0];
    expect(file).toBe(`${mountPath}/${volumes[0].secret.items[0].path}`);
  });

  it('give a GPU pod a GPU, memory for CUDA, the image for it and a place where one is', async () => {
    const { spec } = ofKind(await chart().render('gpu'), 'Deployment').spec.template;
    expect(spec.containers[0].resources.limits).toEqual({ 'nvidia.com/gpu': 1, cpu: '4', memory: '16Gi' });
    expect(spec.containers[0].image).toMatch(/-cuda$/);
    expect(spec.runtimeClassName).toBe('nvidia');
    expect(spec.tolerations).toEqual([{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }]);
  });

  it.each([
    ['image.tag=1.0', 'altup-serve:1.0'],
    ['image.tag=1.0,gpu.enabled=true', 'altup-serve:1.0-cuda'],
    [`image.tag=1.0@${digest},gpu.enabled=true`, `altup-serve:1.0@${digest}`],
    [`image.digest=${digest},image.tag=1.0`, `altup-serve@${digest}`],
    [`image.digest=${digest},gpu.enabled=true`, `altup-serve@${digest}`],
  ])('name one image: %s', async (values, image) => {
    const { spec } = ofKind(await chart().render(null, '--set', values), 'Deployment').spec.template;
    expect(spec.containers[0].image).toBe(image);
  });

  it('become settings as they are written, large numbers too', async () => {
    const environment = await environmentOf('monitored');
    expect(environment).toMatchObject({ ALTUP_BODY_LIMIT: '10485760', ALTUP_STRICT: 'false' });
  });

  it('serve all models or none, over IPv4 and IPv6, unless told otherwise', async () => {
    expect(await environmentOf(null)).toMatchObject({ ALTUP_STRICT: 'true', ALTUP_HOST: '::' });
    expect(await environmentOf('ipv4')).toMatchObject({ ALTUP_HOST: '0.0.0.0' });
  });

  it('name everything anew', async () => {
    const manifests = await chart().render('names');
    for (const { kind, metadata } of manifests)
      expect(metadata.name, kind).toBe(kind === 'ServiceAccount' ? '1234' : 'models');
    expect(ofKind(manifests, 'Deployment').spec.template.metadata.labels).toMatchObject({
      'app.kubernetes.io/name': 'novels',
      team: 'reading',
    });
  });

  it.each(['gateway', 'dual-stack'])(
    'let in from outside what needs an API key, except the routes of administrators, and nothing else (%s)',
    async (variant) => {
      const manifests = await chart().render(variant);
      const matchers: ((path: string) => boolean)[] = manifests.flatMap(({ kind, spec }) => {
        if (kind === 'HTTPRoute')
          return spec.rules.flatMap(({ matches }: HTTPRouteRule) =>
            matches.map(({ path }) => matcher(path.value, path.type === 'PathPrefix')),
          );
        if (kind !== 'Ingress') return [];
        return spec.rules[0].http.paths.map(({ path, pathType }: Record<string, string>) =>
          matcher(path!, pathType === 'Prefix'),
        );
      });
      const { paths } = JSON.parse(await readFile('openapi/openapi.json', 'utf8')) as OpenApi;
      const needsKey = (path: string) =>
        Object.values(paths[path]!).some(({ security }) => security !== undefined);
      const open = Object.keys(paths).filter((path) => matchers.some((matches) => matches(path)));
      const isForClients = (path: string) => needsKey(path) && !path.startsWith('/admin/');
      expect(open).toEqual(Object.keys(paths).filter(isForClients));
      for (const path of ['/docs', '/docs/static/index.html', '/playground/main.js', '/v1.json'])
        expect(
          matchers.some((matches) => matches(path)),
          path,
        ).toBe(false);
    },
  );

  it('let Prometheus in beside those who may connect', async () => {
    const { ingress } = ofKind(await chart().render('monitored'), 'NetworkPolicy').spec;
    expect(ingress).toHaveLength(1);
    expect(ingress[0].from).toEqual([
      { podSelector: { matchLabels: { app: 'chat' } } },
      expect.objectContaining({ podSelector: { matchLabels: { 'app.kubernetes.io/name': 'prometheus' } } }),
    ]);
  });

  it('keep pods from everything but DNS, unless they are told otherwise', async () => {
    const policyOf = async (variant: Variant) =>
      ofKind(await chart().render(variant), 'NetworkPolicy').spec as {
        egress: { ports: { port: number }[] }[];
      };
    const portsOf = ({ egress }: Awaited<ReturnType<typeof policyOf>>) =>
      egress.flatMap(({ ports }) => ports.map(({ port }) => port));
    expect(portsOf(await policyOf(null))).toEqual([53, 53]);
    expect(portsOf(await policyOf('gateway'))).toEqual([53, 53, 443, 4318]);
    expect(portsOf(await policyOf('credentials'))).toEqual([53, 53, 443, 9000]);
    expect(portsOf(await policyOf('proxy'))).toEqual([53, 53, 3128]);
    expect((await policyOf('proxy')).egress.at(-1)).toHaveProperty('to');
  });

  it('mount a credential where the download looks for it', async () => {
    const manifests = await chart().render('credentials');
    const { credentials } = JSON.parse(ofKind(manifests, 'ConfigMap').data!['downloads.json']!);
    expect(credentials).toEqual([
      { host: 'huggingface.co', scheme: 'Bearer', file: '/download-credentials/0' },
      { host: 'minio.storage:9000', scheme: 'Basic', file: '/download-credentials/1' },
    ]);
    const [download] = ofKind(manifests, 'Deployment').spec.template.spec.initContainers;
    const mounts = download.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath);
    expect(mounts).toEqual(expect.arrayContaining(['/download-credentials', '/certificates']));
    expect(download.env).toEqual([{ name: 'NODE_EXTRA_CA_CERTS', value: '/certificates/ca.crt' }]);
    expect(download.command.slice(1)).toEqual([
      '/download/fetch-models.ts',
      '/download/downloads.json',
      '/models',
    ]);
  });
});
