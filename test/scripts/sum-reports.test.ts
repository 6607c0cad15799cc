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

it('names the failed tests, with the first lines of what they said', async () => {
  const folder = await temporaryFolder();
  const long = Array.from({ length: 40 }, (_, at) => `line ${at}`).join('\n');
  await writeFile(
    join(folder, 'unit.xml'),
    `<testsuites><testsuite name="a" tests="3" failures="2" errors="0" skipped="0">
      <testcase classname="a.test.ts" name="passes" time="1"/>
      <testcase classname="a.test.ts" name="group &gt; says &quot;no&quot;" time="1">
        <failure message="expected 1 to be 2" type="AssertionError">AssertionError: 1 &amp;lt; 2\n${long}</failure>
      </testcase>
      <testcase classname="b.test.ts" name="throws" time="1"><system-out>text</system-out><error>gone</error></testcase>
    </testsuite></testsuites>`,
  );
  const said = execFileSync(process.execPath, [script, folder], { encoding: 'utf8' }).split('\n');
  expect(said.slice(0, 3)).toEqual([
    'failed: a.test.ts: group > says "no"',
    '  AssertionError: 1 &lt; 2',
    '  line 0',
  ]);
  expect(said.slice(-5)).toEqual([
    '  line 10',
    'failed: b.test.ts: throws',
    '  gone',
    '1 passed, 2 failed, 0 skipped',
    '',
  ]);
});
