import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { copyCheckpoint } from '../support/checkpoint-copy.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { describeNative } from './native-addon.ts';

/** Number of processes that end in each way; a much larger number shows rare faults. */
const tries = Number(process.env.ALTUP_TEST_TRIES ?? 2);
const script = join(import.meta.dirname, '../support/ending-process.ts');

function ended(args: string[]): Promise<{ end: number | string | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [script, ...args], (_, stdout, stderr) =>
      resolve({ end: child.signalCode ?? child.exitCode, stdout, stderr }),
    );
  });
}

describeNative('a process whose native session is running', () => {
  it.each([
    ['exit', 0, /^$/, /^$/],
    ['terminate', 0, /^$/, /^$/],
    ['throw', 1, /^$/, /thrown while a session runs/],
    ['interrupt', 0, /terminate flag|was interrupted/, /^/],
    ['fail', 0, /"failures":[1-9]/, /^/],
  ])(
    `ends as it should: %s`,
    async (way, code, stdout, stderr) => {
      const checkpoint = await copyCheckpoint('altup-k2');
      const { folder } = await ensureExport(checkpoint, 'fp32', { out: await temporaryFolder() });
      for (let i = 0; i < tries; i += 1) {
        // Different delays hit different parts of a step.
        const found = await ended([way, folder, String(i % 20)]);
        expect(found).toEqual({
          end: code,
          stdout: expect.stringMatching(stdout),
          stderr: expect.stringMatching(stderr),
        });
      }
    },
    30_000 + tries * 5000,
  );
});
