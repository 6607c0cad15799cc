import { countsAgree } from '../cross-check.ts';
import { describeLoad } from '../plan/plan.ts';
import type { LoadtestResult } from '../run-plan.ts';
import type { Stage } from '../stage.ts';
import { comparedFigures, compareWithBaselines } from './compare.ts';
import { short, times } from './figures.ts';
import { stageHead, stageRow } from './stage-row.ts';

const summaries = ['ttft', 'itl', 'tpot', 'e2e'] as const;
const quantiles = ['p50', 'p90', 'p99', 'p99.9'] as const;

/** The report printed at the end. */
export function textReport({ stages, checks }: LoadtestResult): string {
  return [
    textTable(stageHead, stages.map(stageRow)),
    latencies(stages),
    comparison(stages),
    ...stages.flatMap(warnings),
    `\n${checkLine(checks)}\n`,
  ].join('');
}

export function warnings(stage: Stage): string[] {
  const name = `${stage.target.label}, ${describeLoad(stage.load)}`;
  const failures = Object.entries(stage.failures).map(([kind, count]) => `${count} × ${kind}`);
  return [
    failures.length > 0 ? `${name}: failed: ${failures.join(', ')}\n` : '',
    stage.isValid
      ? ''
      : `${name}: INVALID, the client was late: p99 lag ${short(stage.lag?.p99)} ms (--max-lag)\n`,
    stage.isSaturated ? `${name}: saturated, the server did not keep up\n` : '',
  ].filter((line) => line !== '');
}

/** One line that says whether the counts agree. */
export function checkLine(checks: LoadtestResult['checks']): string {
  const agree = countsAgree(checks);
  if (agree === null) return `counts: not checked, ${checks[0]?.reason ?? 'nothing was sent'}`;
  const unchecked = checks.filter(({ server }) => server === null);
  const besides = unchecked.map(
    ({ target, what, reason }) => `${what} of ${target.label} not checked: ${reason}`,
  );
  const different = checks
    .filter(({ client, server }) => server !== null && client !== server)
    .map(
      ({ target, what, client, server }) => `${what} of ${target.label}: client ${client}, server ${server}`,
    );
  const verdict = agree
    ? `${checks.length - unchecked.length} counts agree with /metrics exactly`
    : `counts DIFFER from /metrics (is the server used by others?): ${different.join('; ')}`;
  return [verdict, ...besides].join('; ');
}

function latencies(stages: readonly Stage[]): string {
  const rows = stages.flatMap((stage) =>
    summaries.map((name) => [
      stage.target.label,
      describeLoad(stage.load),
      name.toUpperCase(),
      ...quantiles.map((quantile) => short(stage[name]?.[quantile])),
    ]),
  );
  return `\n${textTable(['model', 'load', 'ms', ...quantiles], rows)}`;
}

function comparison(stages: readonly Stage[]): string {
  const rows = compareWithBaselines(stages).map(({ model, baseline, load, ratios }) => [
    `${model} ÷ ${baseline}`,
    load,
    ...Object.values(ratios).map(times),
  ]);
  return rows.length === 0 ? '' : `\n${textTable(['', 'load', ...Object.keys(comparedFigures)], rows)}`;
}

/** Aligns the first column to the left and the others to the right. */
function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd();
  return `${[line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n')}\n`;
}
