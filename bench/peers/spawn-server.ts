import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';

/** A peer's server in a process of its own. */
export interface PeerCommand {
  command: string;
  args: readonly string[];
  env?: NodeJS.ProcessEnv;
  port: number;
}

/**
 * Starts a server and waits until its `/health` answers with 200.
 * @throws Error with the end of its log, if it ends before
 */
export async function spawnServer({ command, args, env, port }: PeerCommand) {
  const child = spawn(command, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-10_000);
  });
  const exit = once(child, 'exit');
  const url = `http://127.0.0.1:${port}`;
  while (!(await isHealthy(url))) {
    if (child.exitCode !== null) throw new Error(`${command} ended before it listened:\n${log}`);
    await setTimeout(20);
  }
  const stop = async () => {
    child.kill();
    await exit;
  };
  return { url, pid: child.pid!, stop };
}

const isHealthy = (url: string) =>
  fetch(`${url}/health`).then(
    ({ ok }) => ok,
    () => false,
  );
