import { globSync, readFileSync } from 'node:fs';

/**
 * Sums JUnit reports up as `N passed, N failed, N skipped`: node scripts/sum-reports.ts <folder> [more failures]
 * The first failed tests are named before that line, since the end of a long log is what is read.
 * Steps without a report of their own, such as a linter, count in the second argument.
 */
const [folder, failedSteps = '0'] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write('Usage: node scripts/sum-reports.ts <folder> [more failures]\n');
  process.exit(2);
}
const shownTests = 20;
const shownLines = 12;
const failures: string[] = [];
const sum = { tests: 0, failures: 0, errors: 0, skipped: 0 };
for (const file of globSync(`${folder}/*.xml`)) {
  const report = readFileSync(file, 'utf8');
  failures.push(...failedTests(report));
  for (const [suite] of report.matchAll(/<testsuite .*?>/gs)) {
    for (const key of Object.keys(sum) as (keyof typeof sum)[])
      sum[key] += Number(new RegExp(` ${key}="(\\d+)"`).exec(suite)?.[1] ?? 0);
  }
}
process.stdout.write(failures.slice(0, shownTests).join(''));
const failed = sum.failures + sum.errors + Number(failedSteps);
const passed = sum.tests - sum.failures - sum.errors - sum.skipped;
process.stdout.write(`${passed} passed, ${failed} failed, ${sum.skipped} skipped\n`);

/** Each failed test of a report with the first lines of what it said. */
function* failedTests(report: string): Generator<string> {
  for (const [, attributes = '', content = ''] of report.matchAll(
    /<testcase\b([^>]*)(?<!\/)>(.*?)<\/testcase>/gs,
  )) {
    const said = /<(?:failure|error)\b[^>]*>(.*?)<\/(?:failure|error)>/s.exec(content)?.[1];
    if (said === undefined) continue;
    const attribute = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? '';
    const lines = plainText(said).trim().split('\n').slice(0, shownLines);
    yield `failed: ${plainText(`${attribute('classname')}: ${attribute('name')}`)}\n${lines.map((line) => `  ${line}\n`).join('')}`;
  }
}

function plainText(xml: string): string {
  return xml
    .replace(/<!\[CDATA\[(.*?)\]\]>/gs, '$1')
    .replace(
      /&(lt|gt|quot|apos);/g,
      (_, name: 'lt' | 'gt' | 'quot' | 'apos') => ({ lt: '<', gt: '>', quot: '"', apos: "'" })[name],
    )
    .replaceAll('&amp;', '&');
}
