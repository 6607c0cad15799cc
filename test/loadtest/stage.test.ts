import { describe, expect, it } from 'vitest';
import type { RequestRecord } from '../../src/loadtest/load/request-record.ts';
import { parseObjectives } from '../../src/loadtest/plan/objectives.ts';
import { type Load, summarizeStage } from '../../src/loadtest/stage.ts';
import { recordsEvery, requestRecord } from '../support/request-records.ts';

const target = { url: 'http://localhost', model: 'm', label: 'm', isBaseline: false };
const openLoad: Load = { kind: 'open', rate: 1 };

const stageOf = (records: readonly RequestRecord[], slo?: string, load: Load = openLoad) =>
  summarizeStage(target, load, { date: new Date(0), at: 0 }, records, {
    objectives: slo === undefined ? null : parseObjectives(slo),
    maxLagMs: 50,
  });

describe('summarizeStage', () => {
  it('counts latencies from the scheduled arrival, not from when the client got to it', () => {
    const late = requestRecord({ scheduledAt: 0, sentAt: 90 });
    const stage = stageOf([late]);
    expect(stage.ttft!.p50).toBeCloseTo(100, 0);
    expect(stage.e2e!.p50).toBeCloseTo(200, 0);
    expect(stage.tpot!.p50).toBeCloseTo(50, 1);
    expect(stage.itl).toMatchObject({ count: 2 });
    expect(stage.lag!.p99).toBeCloseTo(90, 0);
    expect(stage.isValid).toBe(false);
    expect(stageOf([requestRecord({ sentAt: 40 })]).isValid).toBe(true);
  });

  it('has throughput over the whole stage, and failures by kind beside it', () => {
    const stage = stageOf([
      requestRecord(),
      requestRecord({ scheduledAt: 500, endedAt: 2000 }),
      requestRecord({
        failure: 'http 429 queue_full',
        status: 429,
        outputTokens: null,
        firstContentAt: null,
      }),
      requestRecord({ failure: 'timeout' }),
      requestRecord({ firstContentAt: null, lastContentAt: null }),
    ]);
    expect(stage).toMatchObject({
      requests: 5,
      completed: 2,
      failures: { 'http 429 queue_full': 1, timeout: 1, 'empty answer': 1 },
      durationSeconds: 2,
      requestsPerSecond: 1,
      outputTokensPerSecond: 3,
      totalTokensPerSecond: 8,
      goodRequestsPerSecond: null,
    });
  });

  it('counts as good what meets every objective', () => {
    const records = [
      requestRecord({ endedAt: 1000 }),
      requestRecord({ gapsMs: [20, 80] }),
      requestRecord({ scheduledAt: -150 }),
    ];
    expect(stageOf(records, 'ttft:120,itl:60').goodRequestsPerSecond).toBe(1);
    expect(stageOf(records, 'itl:90').goodRequestsPerSecond).toBe(3);
    expect(stageOf(records, 'e2e:199').goodRequestsPerSecond).toBe(0);
  });

  it('knows how many were open at once', () => {
    expect(stageOf(recordsEvery(100, 10, () => 250)).maxConcurrent).toBe(3);
    expect(stageOf(recordsEvery(100, 10, () => 100)).maxConcurrent).toBe(1);
  });
});

describe('saturation', () => {
  it('is a backlog that grows, and no slowness that stays', () => {
    expect(stageOf(recordsEvery(50, 200, () => 1000)).isSaturated).toBe(false);
    expect(stageOf(recordsEvery(50, 200, (i) => 100 + i * 50)).isSaturated).toBe(true);
  });

  it('is many failures, too', () => {
    const failing = recordsEvery(50, 200, () => 100).map((record, i) =>
      i % 10 === 0 ? { ...record, failure: 'timeout' } : record,
    );
    expect(stageOf(failing).isSaturated).toBe(true);
  });

  it('is unknown to a closed loop', () => {
    const load: Load = { kind: 'closed', concurrency: 4 };
    expect(
      stageOf(
        recordsEvery(50, 200, (i) => 100 + i * 50),
        undefined,
        load,
      ).isSaturated,
    ).toBe(false);
  });
});
