import { lastOf, type RequestRecord } from './request-record.ts';

/** Most of the requests that may fail where a target keeps up. */
const failedShare = 0.05;
/** Part of what arrives meanwhile by which the backlog may grow, beside what chance does to it. */
const backlogShare = 0.1;

/**
 * Whether a target fell behind what came: many requests failed, or more were open on average in the last quarter of the
 * schedule than in the second. A stage needs to last several times as long as a request for that.
 */
export function isSaturated(records: readonly RequestRecord[], completed: number): boolean {
  if (completed < (1 - failedShare) * records.length) return true;
  const from = records[0]!.scheduledAt;
  const quarter = (lastOf(records, 'scheduledAt') - from) / 4;
  const before = openOnAverage(records, from + quarter, from + 2 * quarter);
  const after = openOnAverage(records, from + 3 * quarter, from + 4 * quarter);
  const byChance = 2 * Math.sqrt(before + after);
  return after - before > (backlogShare * records.length) / 2 + byChance;
}

function openOnAverage(records: readonly RequestRecord[], from: number, to: number): number {
  const open = records.reduce((sum, { scheduledAt, endedAt }) => {
    return sum + Math.max(0, Math.min(endedAt, to) - Math.max(scheduledAt, from));
  }, 0);
  return open / (to - from);
}
