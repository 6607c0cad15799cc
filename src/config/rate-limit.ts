import { UsageError } from '../errors.ts';

/** Limits for one client; null: no limit of that kind. */
export interface RateLimit {
  requests: { count: number; withinMs: number } | null;
  /** Sequences at the same time, including waiting ones. */
  concurrent: number | null;
}

const units: Record<string, number> = { second: 1000, minute: 60_000, hour: 3_600_000 };

/**
 * Reads `120/minute`, `16 concurrent`, or both separated by a comma.
 * @param source the variable or flag the text comes from
 */
export function parseRateLimit(source: string, text: string): RateLimit {
  const limit: RateLimit = { requests: null, concurrent: null };
  const refuse = () =>
    new UsageError(
      `${source}: '${text.slice(0, 100)}' is not valid; expected requests per second, minute or hour, concurrent sequences, or both: 120/minute, 16 concurrent`,
    );
  for (const part of text.split(',')) {
    const [, count, unit] =
      /^\s*([1-9]\d{0,8})\s*(\/\s*(?:second|minute|hour)|concurrent)\s*$/.exec(part) ?? [];
    if (count === undefined || unit === undefined) throw refuse();
    if (unit === 'concurrent') {
      if (limit.concurrent !== null) throw refuse();
      limit.concurrent = Number(count);
    } else {
      if (limit.requests !== null) throw refuse();
      limit.requests = { count: Number(count), withinMs: units[unit.replace(/\W/g, '')]! };
    }
  }
  return limit;
}
