import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { freePort } from '../free-port.ts';

const startMs = 30_000;
const probeMs = 1000;

const root = join(import.meta.dirname, '../../..');

/** A service under attack. */
export interface Besieged {
  pid: number;
  url: string;
  signal(name: NodeJS.Signals): void;
  /** The exit code, once it has ended. */
  exited: Promise<number | null>;
}

/** Starts a service that cannot write its log: each write fails because the disk is full, or nobody reads the pipe. */
export async function startLogless(
  log: 'full disk' | 'unread pipe',
  settings: Record<string, string>,
): Promise<Besieged> {
  const port = await freePort();
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, [join(root, 'src/cli.ts'), 'serve'], {
    cwd: root,
    env: { PATH, HOME, ALTUP_PORT: String(port), ...settings },
    // Without a listener Node reads only a few dozen KiB from the pipe.
    stdio: ['ignore', log === 'full disk' ? openSync('/dev/full', 'w') : 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  const url = `http://127.0.0.1:${port}`;
  const isReady = async () => {
    const probe = fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(probeMs) });
    return await probe.then(({ status }) => status === 200).catch(() => false);
  };
  const until = performance.now() + startMs;
  while (!(await isReady())) {
    const isLate = performance.now() > until;
    if (isLate) child.kill('SIGKILL');
    if (isLate || child.exitCode !== null)
      throw new Error(`a service that logs to a ${log} does not get ready; exit code ${child.exitCode}`);
    await setTimeout(50);
  }
  return {
    pid: child.pid!,
    url,
    exited,
    signal: (name) => child.kill(name),
  };
}
