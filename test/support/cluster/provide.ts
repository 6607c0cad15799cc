import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { projectRoot } from '../containers/docker.ts';

/** Runs a script of scripts/, whose last line is the folder of what it provides. */
export function provide(script: string): string {
  const output = execFileSync('bash', [join('scripts', script)], {
    cwd: projectRoot,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return output.trim().split('\n').at(-1)!;
}
