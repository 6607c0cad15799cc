import { globSync, readFileSync } from 'node:fs';

/**
 * Sums JUnit reports up as `N passed, N failed, N skipped`: node scripts/sum-reports.ts <folder> [more failures]
 * Steps without a report of their own, such as a linter, count in the second argument.
 */
const [folder, failedSteps = '0'] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write('Usage: node scripts/sum-reports.ts <folder> [more failures]\n');
  process.exit(2);
}
const sum = { tests: 0, failures: 0, errors: 0, skipped: 0 };
for (const file of globSync(`${folder}/*.xml`)) {
  for (const [suite] of readFileSync(file, 'utf8').matchAll(/<testsuite .*?>/gs)) {
    for (const key of Object.keys(sum) as (keyof typeof sum)[])
      sum[key] += Number(new RegExp(` ${key}="(\\d+)"`).exec(suite)?.[1] ?? 0);
  }
}
const failed = sum.failures + sum.errors + Number(failedSteps);
const passed = sum.tests - sum.failures - sum.errors - sum.skipped;
process.stdout.write(`${passed} passed, ${failed} failed, ${sum.skipped} skipped\n`);
