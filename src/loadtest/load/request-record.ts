/**
 * How a request failed: `http 429 queue_full` (status and the error's code), `stream error <code>`, `timeout`,
 * `connection <code>`, `incomplete stream`.
 */
type FailureKind = string;

/** Outcome of one request. Times are milliseconds on one monotonic clock. */
export interface RequestRecord {
  /** When it was scheduled. Latencies count from here, so a client or server that stalls cannot hide it. */
  scheduledAt: number;
  sentAt: number;
  /** When the first content came; null if none came. */
  firstContentAt: number | null;
  /** When the last content came. */
  lastContentAt: number | null;
  /** When the answer was complete or given up. */
  endedAt: number;
  /** Gaps between pieces of content, milliseconds. */
  gapsMs: number[];
  /** null if the server did not report it. */
  promptTokens: number | null;
  outputTokens: number | null;
  /** HTTP status; null if no answer came. */
  status: number | null;
  failure: FailureKind | null;
}

/** A request that was answered in full, with the values that its latencies need. */
export interface CompletedRecord extends RequestRecord {
  firstContentAt: number;
  lastContentAt: number;
  outputTokens: number;
}

/** False for an answer without content: it has no time to first token. Servers may generate nothing but an end. */
export function isCompleted(record: RequestRecord): record is CompletedRecord {
  return record.failure === null && record.firstContentAt !== null && record.outputTokens !== null;
}

/** Latencies of a completed request in milliseconds from its scheduled arrival, defined in docs/loadtest.md. */
export interface Latencies {
  ttft: number;
  /** null for fewer than two tokens. */
  tpot: number | null;
  itl: readonly number[];
  e2e: number;
}

export function latenciesOf(record: CompletedRecord): Latencies {
  const { scheduledAt, firstContentAt, lastContentAt, outputTokens, gapsMs } = record;
  const tpot = outputTokens > 1 ? (lastContentAt - firstContentAt) / (outputTokens - 1) : null;
  return { ttft: firstContentAt - scheduledAt, tpot, itl: gapsMs, e2e: lastContentAt - scheduledAt };
}

/** The latest such time. There may be more records than `Math.max(...)` takes arguments. */
export function lastOf(records: readonly RequestRecord[], time: 'scheduledAt' | 'endedAt'): number {
  return records.reduce((latest, record) => Math.max(latest, record[time]), 0);
}
