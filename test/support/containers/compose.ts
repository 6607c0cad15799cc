import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { docker, projectRoot } from './docker.ts';

const succeeds = (command: string, ...args: string[]) =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0;

/** The command that runs compose here, standalone or a plugin of Docker; null if there is none. */
export function composeCommand(): string[] | null {
  if (succeeds('docker-compose', 'version')) return ['docker-compose'];
  return succeeds('docker', 'compose', 'version') ? ['docker', 'compose'] : null;
}

/** docker-compose.yml as a separate project. */
export class ComposeProject {
  readonly #command: readonly string[];
  readonly #name = `altup-test-${process.pid}`;
  readonly #environment: Record<string, string>;

  /** @param environment values of the variables in docker-compose.yml */
  constructor(command: readonly string[], environment: Record<string, string>) {
    this.#command = command;
    this.#environment = environment;
  }

  /** @returns its output @throws Error with its error output */
  async run(...args: string[]): Promise<string> {
    const [program, ...first] = this.#command;
    const { stdout } = await promisify(execFile)(
      program!,
      [...first, '--project-name', this.#name, ...args],
      {
        cwd: projectRoot,
        env: { ...process.env, ...this.#environment },
      },
    );
    return stdout.trim();
  }

  /** Docker's health status of a service. */
  async healthOf(service: string): Promise<string> {
    const id = await this.run('ps', '-q', service);
    return docker('inspect', '--format', '{{.State.Health.Status}}', id);
  }
}
