import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

export const projectRoot = join(import.meta.dirname, '../../..');

// Debian's client builds with BuildKit; another one earlier in PATH may not. It may be installed while this process runs.
const client = () => (existsSync('/usr/bin/docker') ? '/usr/bin/docker' : 'docker');

/** Runs Docker's client in the project's folder. @returns its output @throws Error with its error output */
export async function docker(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(client(), args, {
    cwd: projectRoot,
    env: { ...process.env, DOCKER_BUILDKIT: '1' },
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout.trim();
}

/** Why no container can run here; null if containers can run. */
export function dockerIsMissing(): string | null {
  const { error, status, stderr } = spawnSync(client(), ['info'], { encoding: 'utf8', timeout: 10_000 });
  if (error) return 'no docker client is installed; see scripts/get-docker.sh';
  return status === 0 ? null : `no Docker engine answers: ${stderr.trim().split('\n').at(-1)}`;
}
