import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';

/** An object as the API server returns it; tests know the fields they read. */
export interface Found {
  metadata: { name: string; labels: Record<string, string>; deletionTimestamp?: string };
  // biome-ignore lint/suspicious/noExplicitAny: the API server has checked its shape
  spec: any;
  // biome-ignore lint/suspicious/noExplicitAny: see above
  status: any;
}

/** Whether a pod or a node is ready. */
export const isReady = ({ status }: Found): boolean =>
  (status.conditions ?? []).some(
    (each: { type: string; status: string }) => each.type === 'Ready' && each.status === 'True',
  );

export class Kubectl {
  readonly #program: string;
  readonly kubeconfig: string;

  /** @param tools the folder that scripts/get-cluster-tools.sh printed */
  constructor(tools: string, kubeconfig: string) {
    this.#program = join(tools, 'kubectl');
    this.kubeconfig = kubeconfig;
  }

  /** @returns its output @throws Error with its error output */
  async run(...args: string[]): Promise<string> {
    const options = { maxBuffer: 64 * 1024 * 1024 };
    return (await promisify(execFile)(this.#program, ['--kubeconfig', this.kubeconfig, ...args], options))
      .stdout;
  }

  async list(what: string, ...args: string[]): Promise<Found[]> {
    return JSON.parse(await this.run('get', what, '--output', 'json', ...args)).items;
  }

  async get(what: string, ...args: string[]): Promise<Found> {
    return JSON.parse(await this.run('get', what, '--output', 'json', ...args));
  }

  /** Creates objects or changes them, as a server-side apply that validates strictly. */
  async apply(objects: readonly object[], ...args: string[]): Promise<string> {
    const promise = promisify(execFile)(this.#program, [
      '--kubeconfig',
      this.kubeconfig,
      'apply',
      '--server-side',
      '--force-conflicts',
      '--validate=strict',
      '--filename=-',
      ...args,
    ]);
    promise.child.stdin!.end(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
    return (await promise).stdout;
  }

  /** A namespace that admits only pods of the restricted standard. */
  async createNamespace(name: string): Promise<void> {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await this.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }]);
  }
}

/** Resolves when the condition holds. @throws Error that names it, after the time */
export async function until(what: string, holds: () => Promise<boolean>, timeoutMs = 300_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    const isSo = await holds().catch((error) => {
      last = error;
      return false;
    });
    if (isSo) return;
    if (performance.now() > deadline) {
      throw new Error(`${what}: not within ${timeoutMs / 1000} s${last ? `; ${last}` : ''}`);
    }
    await setTimeout(500);
  }
}
