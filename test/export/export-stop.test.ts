import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exportError } from '../../src/export/export-error.ts';
import { copyShipped } from '../support/checkpoint-copy.ts';

const cli = join(import.meta.dirname, '../../src/cli.ts');

/**
 * Exports a checkpoint in a separate process.
 * @param setUp a shell command that runs first, in the same process
 * @param whenStarted called with the process's `kill`
 */
async function exportApart(
  checkpoint: string,
  setUp: string,
  whenStarted: (kill: (signal: NodeJS.Signals) => void) => void = () => {},
) {
  const line = `${setUp}; exec '${process.execPath}' '${cli}' export '${checkpoint}'`;
  const child = spawn('bash', ['-c', line], { stdio: ['ignore', 'ignore', 'pipe'] });
  whenStarted((signal) => child.kill(signal));
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stderr };
}

/** Resolves with the name of the temporary folder that an export fills. */
async function unfinishedIn(parent: string): Promise<string> {
  for (;;) {
    const found = (await readdir(parent).catch(() => [])).find((name) => name.endsWith('.partial'));
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

describe('an export that cannot go on', () => {
  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('ends on %s and leaves nothing behind', async (signal, expected) => {
    const checkpoint = await copyShipped('austen-t5-dense2x');
    const parent = join(checkpoint, 'onnx');
    const ended = exportApart(checkpoint, 'true', (kill) => {
      void unfinishedIn(parent).then(() => kill(signal));
    });
    expect(await ended).toEqual({
      code: expected,
      stderr: `altup export: stopped by ${signal}; run it again to continue\n`,
    });
    expect(await readdir(parent)).toEqual([]);
  });

  it('says in one line that the file system takes no file this large', async () => {
    const checkpoint = await copyShipped('austen-t5-dense');
    // bash counts blocks of 1 KiB.
    const { code, stderr } = await exportApart(checkpoint, 'ulimit -f 64');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^altup export: .*: the file system does not support files this large; .*--out \(EFBIG\)\n$/,
    );
    expect(await readdir(join(checkpoint, 'onnx'))).toEqual([]);
  });
});

describe('exportError', () => {
  const failure = (code: string, path?: string) =>
    Object.assign(new Error(`${code}: words of the system`), { code, ...(path && { path }) });

  it.each([
    ['ENOSPC', 'the disk is full; free some space, or export elsewhere with --out (ENOSPC)'],
    ['EISDIR', 'is a folder; expected a file (EISDIR)'],
    ['EACCES', 'this user may not open it; change its permissions (EACCES)'],
  ])('names the file, the reason and the remedy of %s', (code, line) => {
    expect(exportError(failure(code, '/a/b'), '/a')).toMatchObject({
      name: 'ConfigurationError',
      message: `/a/b: ${line}`,
    });
    expect(exportError(failure(code), '/a').message).toBe(`/a: ${line}`);
  });

  it('keeps any other failure to one line of bounded length', () => {
    const { message } = exportError(new RangeError(`too\n deep ${'x'.repeat(10_000)}`), '/a');
    expect(message).toMatch(/^\/a: cannot be exported: too deep x+$/);
    expect(message.length).toBeLessThan(600);
  });
});
