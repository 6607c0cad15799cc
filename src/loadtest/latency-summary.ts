import { build, type Histogram } from 'hdr-histogram-js';

type PercentileName = 'p50' | 'p90' | 'p99' | 'p99.9';

/** Milliseconds. */
export interface LatencySummary extends Record<PercentileName, number> {
  count: number;
  mean: number;
  std: number;
  max: number;
  /** [milliseconds, share of values at or below], ascending, for a plot of the distribution. */
  distribution: [number, number][];
}

/** Values are recorded in microseconds, because histograms hold whole numbers. */
const perMs = 1000;
const plotted = [
  0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85,
  0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.999, 1,
];

/** Summary of latencies in milliseconds, accurate to 0.1 %; null if there are none. */
export function summarize(valuesMs: Iterable<number>): LatencySummary | null {
  const histogram = build({ numberOfSignificantValueDigits: 3, bitBucketSize: 32, autoResize: true });
  for (const value of valuesMs) histogram.recordValue(Math.max(0, Math.round(value * perMs)));
  if (histogram.totalCount === 0) return null;
  const at = (percent: number) => percentileOf(histogram, percent);
  return {
    count: histogram.totalCount,
    mean: histogram.mean / perMs,
    std: histogram.stdDeviation / perMs,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    'p99.9': at(99.9),
    max: at(100),
    distribution: plotted.map((share) => [at(share * 100), share]),
  };
}

const percentileOf = (histogram: Histogram, percent: number) =>
  histogram.getValueAtPercentile(percent) / perMs;
