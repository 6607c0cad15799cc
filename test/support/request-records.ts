import type { RequestRecord } from '../../src/loadtest/load/request-record.ts';

/** A request scheduled at 0 and sent on time, whose 3 tokens came at 100, 150 and 200 ms. */
export function requestRecord(fields: Partial<RequestRecord> = {}): RequestRecord {
  return {
    scheduledAt: 0,
    sentAt: fields.scheduledAt ?? 0,
    firstContentAt: 100,
    lastContentAt: 200,
    endedAt: 210,
    gapsMs: [50, 50],
    promptTokens: 5,
    outputTokens: 3,
    status: 200,
    failure: null,
    ...fields,
  };
}

/** `count` records, one every `gapMs`; each takes `tookMs(index)`. */
export function recordsEvery(
  gapMs: number,
  count: number,
  tookMs: (index: number) => number,
): RequestRecord[] {
  return Array.from({ length: count }, (_, i) => {
    const scheduledAt = i * gapMs;
    const endedAt = scheduledAt + tookMs(i);
    return requestRecord({ scheduledAt, firstContentAt: endedAt, lastContentAt: endedAt, endedAt });
  });
}
