/** A benchmark's table, and its ratios by the names under which they are tracked over time. */
export interface BenchResult {
  name: string;
  rows: Record<string, string | number>[];
  ratios: Record<string, number>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Smallest to largest. */
export function spread(values: readonly number[]): string {
  return `${Math.min(...values).toPrecision(3)}–${Math.max(...values).toPrecision(3)}`;
}
