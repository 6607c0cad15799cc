/**
 * How a request failed: `http 429 queue_full` (status and the error's code), `stream error <code>`, `timeout`,
 * `connection <code>`, `incomplete stream`.
 */
type FailureKind = string;

/** What became of one request. Times are milliseconds of one monotonic clock. */
export interface RequestRecord {
  /** When it was to be sent. Latencies count from here, so a client or server that stalls cannot hide it. */
  scheduledAt: number;
  sentAt: number;
  /** First content; null where none came. */
  firstContentAt: number | null;
  /** Last content. */
  lastContentAt: number | null;
  /** Answer complete, or given up. */
  endedAt: number;
  /** Gaps between pieces of content, milliseconds. */
  gapsMs: number[];
  /** null where the server did not tell. */
  promptTokens: number | null;
  outputTokens: number | null;
  /** HTTP status; null where no answer came. */
  status: number | null;
  failure: FailureKind | null;
}

/** A request that was answered in full, with what its latencies are made of. */
export interface CompletedRecord extends RequestRecord {
  firstContentAt: number;
  lastContentAt: number;
  outputTokens: number;
}

/** An answer without content has no time to a first token; servers may generate nothing but an end. */
export function isCompleted(record: RequestRecord): record is CompletedRecord {
  return record.failure === null && record.firstContentAt !== null && record.outputTokens !== null;
}

/** Latencies of a completed request, milliseconds, from its scheduled arrival; definitions in docs/loadtest.md. */
export interface Latencies {
  ttft: number;
  /** null with fewer than two tokens. */
  tpot: number | null;
  itl: readonly number[];
  e2e: number;
}

export function latenciesOf(record: CompletedRecord): Latencies {
  const { scheduledAt, firstContentAt, lastContentAt, outputTokens, gapsMs } = record;
  const tpot = outputTokens > 1 ? (lastContentAt - firstContentAt) / (outputTokens - 1) : null;
  return { ttft: firstContentAt - scheduledAt, tpot, itl: gapsMs, e2e: lastContentAt - scheduledAt };
}

/** The latest of a time; records may be more than a function takes arguments. */
export function lastOf(records: readonly RequestRecord[], time: 'scheduledAt' | 'endedAt'): number {
  return records.reduce((latest, record) => Math.max(latest, record[time]), 0);
}
