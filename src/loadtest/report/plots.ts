import type { LatencySummary } from '../latency-summary.ts';
import { describeLoad } from '../plan/plan.ts';
import type { Stage } from '../stage.ts';
import { compareWithBaselines } from './compare.ts';
import { type LinePlot, linePlot, type Series } from './line-plot.ts';

export const colours = 6;

/** Labels of the targets in the order of their colours. */
export const labelsOf = (stages: readonly Stage[]) =>
  [...new Set(stages.map(({ target }) => target.label))].sort();

const colourOf = (stages: readonly Stage[], label: string) => labelsOf(stages).indexOf(label) % colours;

const latencyNames = { ttft: 'Time to first token', itl: 'Gap between tokens', e2e: 'End to end' } as const;
type LatencyName = keyof typeof latencyNames;

/** A stage's place on the load axis; null for a trace, which is one load. */
function loadOf({ load }: Stage): number | null {
  return load.kind === 'closed' ? load.concurrency : load.rate;
}

const axisLabel = (stages: readonly Stage[]) =>
  stages.some(({ load }) => load.kind === 'closed') ? 'clients' : 'requests/s offered to each model';

/** Latencies, throughput and goodput against the load; nothing for a single load. */
export function plotsAgainstLoad(stages: readonly Stage[]): string[] {
  if (new Set(stages.map(loadOf)).size < 2) return [];
  const along = (figure: (stage: Stage) => number | null | undefined, isDashed: boolean): Series[] =>
    labelsOf(stages).map((label) => ({
      label,
      colour: colourOf(stages, label),
      isDashed,
      points: stages
        .filter(({ target }) => target.label === label)
        .flatMap((stage) => {
          const [x, y] = [loadOf(stage), figure(stage)];
          return typeof x === 'number' && typeof y === 'number' ? [[x, y] as const] : [];
        })
        .sort(([a], [b]) => a - b),
    }));
  const plot = (title: string, series: Series[], yScale: LinePlot['yScale'] = 'linear') =>
    linePlot({ title, xLabel: axisLabel(stages), xScale: 'linear', yScale, series, hasDots: true });
  const quantile = (name: LatencyName, which: 'p50' | 'p99') =>
    along((stage) => stage[name] && visible(stage[name][which]), which === 'p50');
  const latencies = Object.entries(latencyNames).map(([key, title]) => {
    const name = key as LatencyName;
    return plot(`${title}, ms: p99, dashed p50`, [...quantile(name, 'p99'), ...quantile(name, 'p50')], 'log');
  });
  const hasGoodput = stages.some(({ goodRequestsPerSecond }) => goodRequestsPerSecond !== null);
  return [
    ...latencies,
    plot(
      'Output tokens/s',
      along(({ outputTokensPerSecond }) => outputTokensPerSecond, false),
    ),
    hasGoodput
      ? plot(
          'Goodput, requests/s',
          along(({ goodRequestsPerSecond }) => goodRequestsPerSecond, false),
        )
      : plot(
          'Requests/s answered',
          along(({ requestsPerSecond }) => requestsPerSecond, false),
        ),
  ].filter((image) => image !== '');
}

/** The last load that every target kept up with and whose figures are valid, otherwise the first load. */
export function loadToShow(stages: readonly Stage[]): string {
  const targets = labelsOf(stages).length;
  const loads = [...new Set(stages.map(({ load }) => describeLoad(load)))];
  const isCalm = (load: string) => {
    const of = stages.filter(
      (stage) => describeLoad(stage.load) === load && !stage.isSaturated && stage.isValid,
    );
    return of.length === targets;
  };
  return loads.findLast(isCalm) ?? loads[0]!;
}

/** Share of requests (or of gaps) that took at most this long, under one load. */
export function distributionPlots(stages: readonly Stage[], load: string): string[] {
  const shown = stages.filter((stage) => describeLoad(stage.load) === load);
  return Object.entries(latencyNames)
    .map(([name, title]) => {
      const series = shown.flatMap((stage): Series[] => {
        const summary = stage[name as LatencyName];
        const { label } = stage.target;
        return summary ? [{ label, colour: colourOf(stages, label), points: positive(summary) }] : [];
      });
      const plot: LinePlot = {
        title: `${title}, share at or below`,
        xLabel: 'ms',
        xScale: 'log',
        yScale: 'linear',
        series,
        hasDots: false,
      };
      return linePlot(plot);
    })
    .filter((image) => image !== '');
}

/** A logarithmic axis has no zero, but the gap between pieces that came together is zero. */
const visible = (ms: number) => Math.max(0.01, ms);

const positive = ({ distribution }: LatencySummary) =>
  distribution.map(([value, share]) => [visible(value), share] as const);

/** A model's latencies divided by the baseline's, against the load. */
export function comparisonPlots(stages: readonly Stage[]): string[] {
  const comparisons = compareWithBaselines(stages);
  const loads = new Map(stages.map((stage) => [describeLoad(stage.load), loadOf(stage)]));
  const pairs = [...new Set(comparisons.map(({ model, baseline }) => `${model} ÷ ${baseline}`))];
  return pairs
    .map((title) => {
      const of = comparisons.filter(({ model, baseline }) => `${model} ÷ ${baseline}` === title);
      const series = comparedInPlot.map((figure, colour): Series => {
        const points = of.flatMap(({ load, ratios }) => {
          const [x, y] = [loads.get(load), ratios[figure]];
          return typeof x === 'number' && typeof y === 'number' ? [[x, y] as const] : [];
        });
        return { label: figure, colour, points };
      });
      return linePlot({
        title,
        xLabel: axisLabel(stages),
        xScale: 'linear',
        yScale: 'linear',
        series,
        mark: 1,
        hasDots: true,
      });
    })
    .filter((image) => image !== '');
}

export const comparedInPlot = ['TTFT p50', 'ITL p50', 'E2E p50', 'E2E p99', 'tokens/s'];
