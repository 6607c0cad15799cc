import { existsSync, globSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { BenchResult } from './result.ts';
import { describeMachine } from './support/machine.ts';

// npm run bench -- <name> [--json]: compares side by side in one run and prints medians with their spread.

const support = new Set([
  'run',
  'result',
  'altup-graph',
  'base-model',
  'mid-size-gemma3n',
  'decode-rows',
  'count-stream',
  'held-out',
  'slope',
]);
const names = globSync('*.ts', { cwd: import.meta.dirname })
  .map((file) => basename(file, '.ts'))
  .filter((name) => !support.has(name));
const [name = ''] = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const file = join(import.meta.dirname, `${name}.ts`);

if (!names.includes(name) || !existsSync(file) || process.argv.includes('--help')) {
  console.error(
    `Usage: npm run bench -- <${names.join('|')}> [--json]\nThe flags of each are in docs/performance.md.`,
  );
  process.exitCode = 2;
} else {
  const { run } = (await import(file)) as { run: () => Promise<BenchResult> };
  const { rows, ratios } = await run();
  const machine = describeMachine();
  if (process.argv.includes('--json')) console.log(JSON.stringify({ name, machine, rows, ratios }));
  else {
    console.log(`${machine.cpu}, ${machine.threads} threads, ${machine.memoryGiB} GiB, Node ${machine.node}`);
    console.table(rows);
    console.table(ratios);
  }
}
