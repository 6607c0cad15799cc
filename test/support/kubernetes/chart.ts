import { execFile, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { KubernetesSchemas } from './kubernetes-schemas.ts';
import type { Manifest } from './manifest.ts';

const projectRoot = join(import.meta.dirname, '../../..');
const chart = join(projectRoot, 'deploy/helm/altup-serve');

/** Names of the chart's values files under ci/; null: its defaults. */
export type Variant = string | null;
export const variants: readonly Variant[] = [
  null,
  ...readdirSync(join(chart, 'ci'))
    .map((file) => file.replace(/-values\.yaml$/, ''))
    .sort(),
];

/** The Helm chart, with helm to render it. */
export class Chart {
  readonly #helm: string;
  readonly schemas: KubernetesSchemas;

  constructor(tools: string) {
    this.#helm = join(tools, 'helm');
    this.schemas = new KubernetesSchemas(tools);
  }

  /** @returns helm's output @throws Error with helm's error output */
  async lint(variant: Variant, ...args: string[]): Promise<string> {
    return this.#run('lint', '--strict', chart, ...valuesOf(variant), ...args);
  }

  async render(variant: Variant, ...args: string[]): Promise<Manifest[]> {
    const text = await this.#run(
      'template',
      'release',
      chart,
      '--namespace',
      'models',
      ...valuesOf(variant),
      ...args,
    );
    return parseAllDocuments(text)
      .map((document) => document.toJS() as Manifest | null)
      .filter((manifest) => manifest !== null);
  }

  async #run(...args: string[]): Promise<string> {
    return (await promisify(execFile)(this.#helm, args, { cwd: projectRoot })).stdout;
  }
}

const valuesOf = (variant: Variant) =>
  variant === null ? [] : ['--values', join(chart, 'ci', `${variant}-values.yaml`)];

/** A group of tests of the chart; if its tools are not available the group is skipped and its name says why. */
export function describeChart(name: string, tests: (chart: () => Chart) => void): void {
  const fetched = spawnSync('bash', ['scripts/get-kubernetes-tools.sh'], {
    cwd: projectRoot,
    encoding: 'utf8',
  });
  if (fetched.status !== 0) {
    const reason = fetched.stderr.trim().split('\n').at(-1);
    describe.skip(`${name} (skipped: helm and the schemas cannot be had: ${reason})`, () =>
      tests(() => {
        throw new Error(reason);
      }));
    return;
  }
  describe(name, () => {
    let chart: Chart;
    beforeAll(() => {
      chart = new Chart(fetched.stdout.trim());
    });
    tests(() => chart);
  });
}
