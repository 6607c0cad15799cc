import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';

const script = join(import.meta.dirname, '../../scripts/sum-reports.ts');

it('sums up reports, and the failures that no report counts', async () => {
  const folder = await temporaryFolder();
  const suite = (name: string, counts: string) =>
    `<testsuite name="${name}" ${counts} time="1.5">\n</testsuite>`;
  await writeFile(
    join(folder, 'unit.xml'),
    `<testsuites tests="9">${suite('a', 'tests="5" failures="1" errors="0" skipped="1"')}${suite('b', 'tests="4" failures="0" errors="1" skipped="0"')}</testsuites>`,
  );
  await writeFile(join(folder, 'cargo.xml'), suite('c', 'tests="55" failures="0" errors="0" skipped="0"'));
  const run = (...more: string[]) =>
    execFileSync(process.execPath, [script, folder, ...more], { encoding: 'utf8' });
  expect(run()).toBe('61 passed, 2 failed, 1 skipped\n');
  expect(run('2')).toBe('61 passed, 4 failed, 1 skipped\n');
});
