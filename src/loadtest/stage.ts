import { type LatencySummary, summarize } from './latency-summary.ts';
import { isCompleted, lastOf, latenciesOf, type RequestRecord } from './load/request-record.ts';
import type { Target } from './load/target.ts';
import { meets, type Objectives } from './plan/objectives.ts';

/** Maximum share of failed requests for a target that keeps up. */
const failedShare = 0.05;
/** Maximum growth of the backlog, as a share of the arrivals meanwhile, in addition to random variation. */
const backlogShare = 0.1;

/**
 * Whether a target fell behind: many requests failed, or more were open on average in the last quarter of the schedule
 * than in the second. For that, a stage must last several times as long as a request.
 */
function isSaturated(records: readonly RequestRecord[], completed: number): boolean {
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

/** The load of a stage: requests per second in an open loop (null: from a trace), or clients in a closed loop. */
export type Load = { kind: 'open'; rate: number | null } | { kind: 'closed'; concurrency: number };

/** Measurements of one load on one target. Latencies count from the scheduled arrivals. */
export interface Stage {
  target: Target;
  load: Load;
  startedAt: Date;
  /** From the start of the schedule to the end of the last request. */
  durationSeconds: number;
  requests: number;
  completed: number;
  failures: Record<string, number>;
  promptTokens: number;
  outputTokens: number;
  requestsPerSecond: number;
  outputTokensPerSecond: number;
  totalTokensPerSecond: number;
  /** Requests per second that met every objective; null where none is set. */
  goodRequestsPerSecond: number | null;
  maxConcurrent: number;
  ttft: LatencySummary | null;
  tpot: LatencySummary | null;
  itl: LatencySummary | null;
  e2e: LatencySummary | null;
  /** How late the client sent the scheduled requests. */
  lag: LatencySummary | null;
  /** The client kept to its schedule, so the figures are the server's. */
  isValid: boolean;
  /** The target did not keep up with the load. */
  isSaturated: boolean;
  records: readonly RequestRecord[];
}

export interface Judgement {
  objectives: Objectives | null;
  /** Maximum 99th percentile of the client's lag, in milliseconds. */
  maxLagMs: number;
}

/** @param began when the schedule began, as a date and on the records' clock */
export function summarizeStage(
  target: Target,
  load: Load,
  began: { date: Date; at: number },
  records: readonly RequestRecord[],
  { objectives, maxLagMs }: Judgement,
): Stage {
  const completed = records.filter(isCompleted);
  const latencies = completed.map(latenciesOf);
  const durationSeconds = (lastOf(records, 'endedAt') - began.at) / 1000;
  const sum = (values: readonly (number | null)[]) =>
    values.reduce<number>((total, value) => total + (value ?? 0), 0);
  const promptTokens = sum(completed.map((record) => record.promptTokens));
  const outputTokens = sum(completed.map((record) => record.outputTokens));
  const lag = summarize(records.map(({ sentAt, scheduledAt }) => sentAt - scheduledAt));
  const good = objectives && latencies.filter((each) => meets(each, objectives)).length;
  return {
    target,
    load,
    startedAt: began.date,
    durationSeconds,
    requests: records.length,
    completed: completed.length,
    failures: countFailures(records),
    promptTokens,
    outputTokens,
    requestsPerSecond: completed.length / durationSeconds,
    outputTokensPerSecond: outputTokens / durationSeconds,
    totalTokensPerSecond: (promptTokens + outputTokens) / durationSeconds,
    goodRequestsPerSecond: good === null ? null : good / durationSeconds,
    maxConcurrent: maxConcurrency(records),
    ttft: summarize(latencies.map(({ ttft }) => ttft)),
    tpot: summarize(latencies.flatMap(({ tpot }) => tpot ?? [])),
    itl: summarize(latencies.flatMap(({ itl }) => [...itl])),
    e2e: summarize(latencies.map(({ e2e }) => e2e)),
    lag,
    isValid: (lag?.p99 ?? 0) <= maxLagMs,
    isSaturated: load.kind === 'open' && isSaturated(records, completed.length),
    records,
  };
}

function countFailures(records: readonly RequestRecord[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const record of records) {
    if (isCompleted(record)) continue;
    const kind = record.failure ?? 'empty answer';
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

function maxConcurrency(records: readonly RequestRecord[]): number {
  const changes = records.flatMap(({ sentAt, endedAt }) => [[sentAt, 1] as const, [endedAt, -1] as const]);
  let open = 0;
  let most = 0;
  for (const [, change] of changes.sort(([a, up], [b, down]) => a - b || up - down)) {
    open += change;
    most = Math.max(most, open);
  }
  return most;
}
