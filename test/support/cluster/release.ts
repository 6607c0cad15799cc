import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { type Found, isReady, Kubectl, until } from './kubectl.ts';

const projectRoot = join(import.meta.dirname, '../../..');
export const chartFolder = join(projectRoot, 'deploy/helm/altup-serve');

/** kubectl for the cluster that the tests run on. */
export function kubectl(): Kubectl {
  const { tools, folder } = inject('cluster');
  return new Kubectl(tools, join(folder, 'kubeconfig'));
}

type Values = Record<string, unknown>;

/** The image under test, in pods that are small enough for several of them on one machine. */
export const smallPods: Values = {
  image: { repository: 'docker.io/library/altup-serve', tag: 'test', pullPolicy: 'Never' },
  resources: { requests: { cpu: '100m', memory: '256Mi' }, limits: { cpu: '1', memory: '1Gi' } },
};

/** A release of the chart. */
export class Release {
  readonly namespace: string;
  readonly name: string;
  readonly #kubectl = kubectl();

  constructor(namespace: string, name = 'altup-serve') {
    this.namespace = namespace;
    this.name = name;
  }

  /** Installs the chart or upgrades the release, and waits until the rollout is complete. */
  async upgrade(values: Values, chart = chartFolder): Promise<void> {
    await this.begin(values, chart);
    await this.rolledOut();
  }

  /** Installs the chart or upgrades the release, and does not wait for its pods. */
  async begin(values: Values, chart = chartFolder): Promise<void> {
    const file = join(inject('cluster').folder, `${this.namespace}-${this.name}-values.json`);
    await writeFile(file, JSON.stringify(values));
    await this.#helm('upgrade', this.name, chart, '--install', '--values', file);
  }

  async rollBack(): Promise<void> {
    await this.#helm('rollback', this.name);
    await this.rolledOut();
  }

  async uninstall(): Promise<void> {
    await this.#helm('uninstall', this.name);
    await until('the pods are gone', async () => (await this.pods()).length === 0);
  }

  async rolledOut(): Promise<void> {
    const name = `deployment/${this.name}`;
    await this.#kubectl.run('rollout', 'status', name, '--namespace', this.namespace, '--timeout=600s');
    // A pod on its way out is no longer part of the rollout, but it still answers.
    await until('the old pods are gone', async () =>
      (await this.pods()).every(({ metadata }) => metadata.deletionTimestamp === undefined),
    );
  }

  async pods(): Promise<Found[]> {
    return this.#list('pods');
  }

  async deployments(): Promise<Found[]> {
    return this.#list('deployments');
  }

  async readyPods(): Promise<Found[]> {
    return (await this.pods()).filter((pod) => isReady(pod) && pod.metadata.deletionTimestamp === undefined);
  }

  /** The address of the Service. */
  async url(): Promise<string> {
    const { spec } = await this.#kubectl.get(`service/${this.name}`, '--namespace', this.namespace);
    return `http://${spec.clusterIP}:${spec.ports[0].port}`;
  }

  #list(what: string): Promise<Found[]> {
    const selector = `app.kubernetes.io/instance=${this.name}`;
    return this.#kubectl.list(what, '--namespace', this.namespace, '--selector', selector);
  }

  async #helm(...args: string[]): Promise<void> {
    const program = join(inject('cluster').helm, 'helm');
    const place = ['--namespace', this.namespace, '--kubeconfig', this.#kubectl.kubeconfig];
    await promisify(execFile)(program, [...args, ...place], { cwd: projectRoot });
  }
}
