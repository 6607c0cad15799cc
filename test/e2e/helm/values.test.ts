import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../../../package.json' with { type: 'json' };
import { configRows } from '../../../src/config/config-rows.ts';
import { describeChart } from '../../support/kubernetes/chart.ts';
import { ofKind } from '../../support/kubernetes/manifest.ts';

const chartFile = (name: string) => readFile(`deploy/helm/altup-serve/${name}`, 'utf8');
/** Settings that the chart makes from values of its own. */
const ownSettings = [
  'ALTUP_MODELS',
  'ALTUP_HOST',
  'ALTUP_PORT',
  'ALTUP_DRAIN_TIMEOUT_MS',
  'ALTUP_API_KEYS',
  'ALTUP_API_KEYS_FILE',
];

interface Schema {
  properties?: Record<string, Schema>;
}

/** Paths of the values that a schema, or the defaults, have. */
function paths(value: unknown, at = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [at];
  return Object.entries(value).flatMap(([name, inner]) => paths(inner, at === '' ? name : `${at}.${name}`));
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
  it.each([
    ['a value that is none', 'replica=3', /replica/],
    ['a setting that is none', 'settings.ALTUP_SLOT=3', /ALTUP_SLOT/],
    ['a setting that the chart makes', 'settings.ALTUP_PORT=3', /ALTUP_PORT/],
    ['a source that is none', 'models.source=s3', /source/],
    ['a claim without a name', 'models.source=pvc', /models\.pvc\.claimName/],
    ['a pool without an endpoint picker', 'gateway.enabled=true', /gateway\.endpointPicker\.name/],
  ])('refuse %s, by name', async (_, value, complaint) => {
    await expect(chart().render(null, '--set', value)).rejects.toThrow(complaint);
  });

  it('take an update strategy without surge, and a Recreate', async () => {
    const recreate = await chart().render(
      null,
      '--set',
      'updateStrategy.type=Recreate',
      '--set',
      'updateStrategy.rollingUpdate=null',
    );
    expect(ofKind(recreate, 'Deployment').spec.strategy).toEqual({ type: 'Recreate' });
  });

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

  it('give a GPU pod a GPU, the image for it and a place where one is', async () => {
    const { spec } = ofKind(await chart().render('gpu'), 'Deployment').spec.template;
    expect(spec.containers[0].resources.limits).toMatchObject({ 'nvidia.com/gpu': 1, cpu: '2' });
    expect(spec.containers[0].image).toMatch(/-cuda$/);
    expect(spec.runtimeClassName).toBe('nvidia');
    expect(spec.tolerations).toEqual([{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }]);
  });

  it('keep pods from everything but DNS, unless they are told otherwise', async () => {
    const policyOf = async (variant: null | 'gateway') =>
      ofKind(await chart().render(variant), 'NetworkPolicy').spec as {
        egress: { ports: { port: number }[] }[];
      };
    const portsOf = ({ egress }: Awaited<ReturnType<typeof policyOf>>) =>
      egress.flatMap(({ ports }) => ports.map(({ port }) => port));
    expect(portsOf(await policyOf(null))).toEqual([53, 53]);
    expect(portsOf(await policyOf('gateway'))).toEqual([53, 53, 443, 4318]);
  });
});
