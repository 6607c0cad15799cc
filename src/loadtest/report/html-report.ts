import { type CheckedCount, countsAgree } from '../cross-check.ts';
import { describeLoad, type Plan } from '../plan.ts';
import type { LoadtestResult } from '../run-plan.ts';
import type { Stage } from '../stage.ts';
import { comparedFigures, compareWithBaselines } from './compare.ts';
import { escaped } from './escape.ts';
import { short, times } from './figures.ts';
import { pageStyle } from './page-style.ts';
import {
  colours,
  comparedInPlot,
  comparisonPlots,
  distributionPlots,
  labelsOf,
  loadToShow,
  plotsAgainstLoad,
} from './plots.ts';
import { stageHead, stageRow } from './stage-row.ts';
import { checkLine, warnings } from './text-report.ts';

/** One page without scripts that needs nothing beside it. */
export function htmlReport(plan: Plan, result: LoadtestResult): string {
  const { stages, checks, startedAt } = result;
  const legend = legendOf(labelsOf(stages));
  const load = loadToShow(stages);
  const comparisons = comparisonPlots(stages);
  const againstLoad = plotsAgainstLoad(stages);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Load test: ${escaped(labelsOf(stages).join(', '))}</title>
<style>${pageStyle}</style>
</head>
<body>
<h1>Load test</h1>
<p class="soft">${escaped(describePlan(plan, startedAt))}</p>
<p class="${countsAgree(checks) === false ? 'bad' : countsAgree(checks) ? 'good' : 'soft'}">${escaped(checkLine(checks))}</p>
${stages.flatMap((stage) => warnings(stage).map((line) => `<p class="${line.includes('INVALID') ? 'bad' : 'soft'}">${escaped(line)}</p>`)).join('\n')}
${section('Against the baseline', comparisons.length === 0 ? '' : legendOf(comparedInPlot) + plots(comparisons), comparisonTable(stages))}
${section('Against the load', againstLoad.length === 0 ? '' : legend + plots(againstLoad))}
${section(`Distributions at ${load}`, legend + plots(distributionPlots(stages, load)))}
${section('Figures', stageTable(stages), latencyTable(stages))}
${section('Counts of this client and of the server', countTable(checks))}
<p class="soft">Latencies are in milliseconds and count from each request's scheduled arrival.</p>
</body>
</html>
`;
}

function describePlan({ targets, arrivals, request, order, seed, judgement }: Plan, startedAt: Date): string {
  const pattern = arrivals.kind === 'gamma' ? `gamma ${arrivals.burstiness}` : arrivals.kind;
  const objectives = Object.entries(judgement.objectives ?? {}).map(([name, ms]) => `${name} ≤ ${ms} ms`);
  return [
    startedAt.toISOString(),
    [...new Set(targets.map(({ url }) => url))].join(', '),
    `${request.endpoint}, ${pattern} arrivals, ${order}, seed ${seed}`,
    ...(objectives.length > 0 ? [`goodput: ${objectives.join(', ')}`] : []),
  ].join(' · ');
}

function section(title: string, ...parts: string[]): string {
  const body = parts.filter((part) => part !== '').join('\n');
  return body === '' ? '' : `<section><h2>${escaped(title)}</h2>\n${body}</section>`;
}

const plots = (images: readonly string[]) => `<div class="plots">${images.join('\n')}</div>`;

function legendOf(labels: readonly string[]): string {
  const keys = labels.map((label, i) => `<li class="key c${i % colours}">${escaped(label)}</li>`);
  return `<ul class="legend">${keys.join('')}</ul>`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const line = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  const body = rows.map((row) => line(row, 'td')).join('\n');
  return `<div class="table"><table><thead>${line(head, 'th')}</thead><tbody>${body}</tbody></table></div>`;
}

const comparisonTable = (stages: readonly Stage[]) =>
  table(
    ['model ÷ baseline', 'load', ...Object.keys(comparedFigures)],
    compareWithBaselines(stages).map(({ model, baseline, load, ratios }) => [
      `${model} ÷ ${baseline}`,
      load,
      ...Object.values(ratios).map(times),
    ]),
  );

const stageTable = (stages: readonly Stage[]) => table(stageHead, stages.map(stageRow));

const latencyTable = (stages: readonly Stage[]) =>
  table(
    ['model', 'load', 'ms', 'p50', 'p90', 'p99', 'p99.9', 'max'],
    stages.flatMap((stage) =>
      (['ttft', 'itl', 'tpot', 'e2e'] as const).map((name) => {
        const summary = stage[name];
        const figures = (['p50', 'p90', 'p99', 'p99.9', 'max'] as const).map((figure) =>
          short(summary?.[figure]),
        );
        return [stage.target.label, describeLoad(stage.load), name.toUpperCase(), ...figures];
      }),
    ),
  );

const countTable = (checks: readonly CheckedCount[]) =>
  table(
    ['model', 'count', 'client', 'server', ''],
    checks.map(({ target, what, client, server, reason }) => [
      target.label,
      what,
      String(client),
      server === null ? '-' : String(server),
      server === null ? `not checked: ${reason}` : client === server ? 'equal' : 'DIFFERENT',
    ]),
  );
