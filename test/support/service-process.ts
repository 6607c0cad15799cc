import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

const projectRoot = join(import.meta.dirname, '../..');

function spawning(settings: Record<string, string>) {
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME, ALTUP_PORT: '0', ...settings };
  return { env, stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'] };
}

/** `altup serve` as users run it: a separate process on a free port. */
export class ServiceProcess {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  /** Log records so far. */
  readonly log: Record<string, unknown>[] = [];
  #stderr = '';
  #url: string | undefined;
  /** Resolves when the process writes its next line or ends. */
  #stir = Promise.withResolvers<void>();
  readonly exited: Promise<number | null>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.exited = once(this.#child, 'close').then(([code]) => code as number | null);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    createInterface(this.#child.stdout!).on('line', (line) => {
      this.#lines.push(line);
      if (line.startsWith('{')) this.log.push(JSON.parse(line));
      this.#stirred();
    });
    this.exited.then(() => this.#stirred());
  }

  /** Resolves when the service is ready to answer. */
  static async start(
    settings: Record<string, string> = {},
    args: readonly string[] = [],
    nodeFlags: readonly string[] = [],
  ): Promise<ServiceProcess> {
    const service = ServiceProcess.launch(settings, args, nodeFlags);
    await service.logged('ready');
    return service;
  }

  /** Starts it with shell commands instead; the last command serves. Resolves when it is ready. */
  static async startBy(
    command: string,
    cwd: string,
    settings: Record<string, string>,
  ): Promise<ServiceProcess> {
    // `exec` replaces the shell with the last command, because the shell would not pass signals on.
    const becoming = command.replace(/&&(?!.*&&)/, '&& exec');
    const service = new ServiceProcess(spawn(becoming, { ...spawning(settings), cwd, shell: true }));
    await service.logged('ready');
    return service;
  }

  /** Starts a service that is expected to refuse to start. */
  static async refused(
    settings: Record<string, string> = {},
    args: readonly string[] = [],
  ): Promise<{ code: number | null; output: string }> {
    const service = ServiceProcess.launch(settings, args);
    const code = await service.exited;
    return { code, output: service.output };
  }

  /** Starts the service without waiting until it is ready. */
  static launch(
    settings: Record<string, string> = {},
    args: readonly string[] = [],
    nodeFlags: readonly string[] = [],
  ): ServiceProcess {
    const script = [...nodeFlags, join(projectRoot, 'src/cli.ts'), 'serve', ...args];
    return new ServiceProcess(spawn(process.execPath, script, { ...spawning(settings), cwd: projectRoot }));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The signal that ended it. */
  get endSignal(): NodeJS.Signals | null {
    return this.#child.signalCode;
  }

  /** All its output so far. */
  get output(): string {
    return [...this.#lines, this.#stderr].join('\n');
  }

  /** Resolves with the first log record with this message. */
  async logged(message: string): Promise<Record<string, unknown>> {
    for (;;) {
      const record = this.log.find(({ msg }) => msg === message);
      if (record) return record;
      if (this.#child.exitCode !== null || this.endSignal !== null)
        throw new Error(`the service stopped before "${message}":\n${this.output}`);
      await this.#stir.promise;
    }
  }

  /** From now on `logged` only finds later records. */
  forgetLog(): void {
    this.#url ??= this.url;
    this.log.length = 0;
  }

  #stirred(): void {
    const { resolve } = this.#stir;
    this.#stir = Promise.withResolvers<void>();
    resolve();
  }

  get url(): string {
    // Cached, because loads read it for each of thousands of requests, when the log is already long.
    this.#url ??= String(this.log.find(({ msg }) => msg === 'listening')!.url);
    return this.#url;
  }

  async post(path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
    return fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      ...init,
    });
  }

  /** A scrape of /metrics. Each scrape resets the statistics of the event loop's lag. */
  async metrics(): Promise<{ sum(...texts: string[]): number }> {
    const lines = (await (await fetch(`${this.url}/metrics`)).text()).split('\n');
    return {
      sum: (...texts) =>
        lines
          .filter((line) => !line.startsWith('#') && texts.every((text) => line.includes(text)))
          .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0),
    };
  }

  /** The sum of the samples of /metrics whose name and labels contain all given texts. */
  async metric(...texts: string[]): Promise<number> {
    return (await this.metrics()).sum(...texts);
  }

  /** Resolves when `metric(...texts)` is `value`. */
  async metricReaches(value: number, ...texts: string[]): Promise<void> {
    while ((await this.metric(...texts)) !== value) await setTimeout(10);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** @returns the exit code */
  async stop(): Promise<number | null> {
    this.signal('SIGTERM');
    return this.exited;
  }
}
