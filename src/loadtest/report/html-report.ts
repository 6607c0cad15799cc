import { type CheckedCount, countsAgree } from '../cross-check.ts';
import { describeLoad, type Plan } from '../plan/plan.ts';
import type { LoadtestResult } from '../run-plan.ts';
import type { Stage } from '../stage.ts';
import { comparedFigures, compareWithBaselines } from './compare.ts';
import { escaped } from './escape.ts';
import { short, times } from './figures.ts';
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

/** Light and dark, one column on a phone. Loads nothing from elsewhere. */
const pageStyle = `
:root { color-scheme: light dark; --ink: #1c2733; --paper: #fff; --soft: #5b6875; --grid: #e1e6eb; --good: #1a7f37; --bad: #c62828;
  --c0: #0b62c4; --c1: #c2410c; --c2: #15803d; --c3: #8b2fb3; --c4: #a16207; --c5: #0e7490; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf0; --paper: #12181f; --soft: #9aa7b4; --grid: #2b3642; --good: #4ac26b; --bad: #ff7b72;
    --c0: #6cb0ff; --c1: #ff9b63; --c2: #5fd38a; --c3: #d69cf0; --c4: #e6c15c; --c5: #5cc8dd; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
p { margin: 0.3rem 0; overflow-wrap: anywhere; } .soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
figure { margin: 0; min-width: 0; } figcaption { font-weight: 600; font-size: 0.9rem; }
svg { display: block; width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--grid); } .mark { stroke: var(--soft); stroke-dasharray: 2 3; }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; } .dashed { stroke-dasharray: 5 4; opacity: 0.75; }
${[0, 1, 2, 3, 4, 5].map((i) => `polyline.c${i} { stroke: var(--c${i}); } circle.c${i} { fill: var(--c${i}); } .key.c${i}::before { background: var(--c${i}); }`).join('\n')}
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; padding: 0; margin: 0.3rem 0 0.6rem; list-style: none; font-size: 0.9rem; }
.key::before { content: ''; display: inline-block; width: 1.2rem; height: 0.25rem; border-radius: 2px; margin-right: 0.4rem; vertical-align: middle; }
.table { overflow-x: auto; margin-top: 0.8rem; } table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 600; }
`;

/** A self-contained page without scripts. */
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
