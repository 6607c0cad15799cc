import { setTimeout } from 'node:timers/promises';
import { ConfigurationError, UsageError } from '../errors.ts';
import { type CheckedCount, CrossCheck } from './cross-check.ts';
import { arrivalTimes } from './load/arrivals.ts';
import { Client } from './load/client.ts';
import { randomStream } from './load/random-stream.ts';
import type { RequestRecord } from './load/request-record.ts';
import type { Target } from './load/target.ts';
import type { Extent, Plan } from './plan/plan.ts';
import { type Load, type Stage, summarizeStage } from './stage.ts';

export interface LoadtestResult {
  startedAt: Date;
  stages: Stage[];
  checks: CheckedCount[];
}

/** Receives the progress of a load test. */
export interface RunObserver {
  warmingUp(target: Target): void;
  /** @param seconds how long the stage sends requests; null if their number decides */
  stageBegan(targets: readonly Target[], load: Load, seconds: number | null): void;
  requestEnded(record: RequestRecord): void;
  stageEnded(): void;
}

/** One target, the requests sent to it so far, and whether more make sense. */
interface Subject {
  target: Target;
  client: Client;
  check: CrossCheck;
  sent: RequestRecord[];
  isSaturated: boolean;
}

/** Warms up every target, puts it under each load of the plan, and compares the counts with the target's own. */
export async function runPlan(plan: Plan, observer: RunObserver): Promise<LoadtestResult> {
  const startedAt = new Date();
  const subjects = await Promise.all(
    plan.targets.map(async (target): Promise<Subject> => {
      const check = await CrossCheck.begin(target, plan.request);
      return { target, client: new Client(target, plan.request), check, sent: [], isSaturated: false };
    }),
  );
  try {
    for (const subject of subjects) await warmUp(plan, subject, observer);
    const stages: Stage[] = [];
    for (const [index, load] of loadsOf(plan)) {
      const open = subjects.filter(({ isSaturated }) => plan.sweepFactor === null || !isSaturated);
      if (open.length === 0) break;
      // Alternates the order, so that neither of two models is always first.
      const turns = index % 2 === 0 ? open : open.toReversed();
      const groups = plan.order === 'interleaved' ? [open] : turns.map((subject) => [subject]);
      for (const group of groups) stages.push(...(await runGroup(plan, group, load, index, observer)));
    }
    const checks = await Promise.all(subjects.map(({ check, sent }) => check.end(sent)));
    return { startedAt, stages, checks: checks.flat() };
  } finally {
    for (const { client } of subjects) client.close();
  }
}

/** Maximum stages, which ends a sweep that no load saturates. */
const maxSweepStages = 40;

function* loadsOf({ loads, sweepFactor }: Plan): Generator<[number, Load]> {
  yield* loads.entries();
  const last = loads.at(-1);
  if (sweepFactor === null || last?.kind !== 'open' || last.rate === null) return;
  let { rate } = last;
  for (let index = loads.length; index < maxSweepStages; index += 1) {
    rate *= sweepFactor;
    yield [index, { kind: 'open', rate }];
  }
}

/** Far from the seeds of the stages. */
const warmUpSeed = 1_000_000;

async function warmUp({ promptsOf, seed, warmUpRequests }: Plan, subject: Subject, observer: RunObserver) {
  observer.warmingUp(subject.target);
  const next = promptsOf(seed + warmUpSeed);
  const { client, sent } = subject;
  for (let i = 0; i < warmUpRequests; i += 1) {
    const record = await client.send(next(), performance.now());
    sent.push(record);
    if (!isHopeless(record)) continue;
    const { label, url } = subject.target;
    throw new ConfigurationError(
      `${label}: the first request to ${url} failed with ${record.failure}; nothing was measured`,
    );
  }
}

/** Whether every request will fail like this one: nobody answers, or the server refuses what it is asked. */
function isHopeless({ status, failure }: RequestRecord): boolean {
  if (status === null) return failure !== null && /ECONNREFUSED|ENOTFOUND/.test(failure);
  // Too slow and too many are what a load test may find.
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

async function runGroup(
  plan: Plan,
  group: readonly Subject[],
  load: Load,
  index: number,
  observer: RunObserver,
): Promise<Stage[]> {
  const { extent } = plan;
  const seconds = scheduledSeconds(plan, load);
  observer.stageBegan(
    group.map(({ target }) => target),
    load,
    seconds,
  );
  const stages = await Promise.all(
    group.map(async (subject) => {
      const began = { date: new Date(), at: performance.now() };
      const next = plan.promptsOf(plan.seed + index);
      const send = async (scheduledAt: number) => {
        const record = await subject.client.send(next(), scheduledAt);
        observer.requestEnded(record);
        return record;
      };
      const records =
        load.kind === 'closed'
          ? await closedLoop(load.concurrency, extent, send)
          : await openLoop(scheduleOf(plan, load.rate, index), send);
      subject.sent.push(...records);
      return summarizeStage(subject.target, load, began, records, plan.judgement);
    }),
  );
  for (const [i, subject] of group.entries()) subject.isSaturated ||= stages[i]!.isSaturated;
  observer.stageEnded();
  return stages;
}

/** Every target gets the same prompts at the same times. */
function scheduleOf({ arrivals, extent, seed }: Plan, rate: number | null, index: number): readonly number[] {
  const times =
    arrivals.kind === 'trace'
      ? arrivals.times
      : arrivalTimes(arrivals, rate!, extent.durationMs, randomStream(seed + index, 'arrivals'));
  if (times.length === 0) {
    throw new UsageError(`--duration: no request comes within ${extent.durationMs / 1000} s at ${rate}/s`);
  }
  return times.slice(0, extent.requests);
}

function scheduledSeconds({ arrivals, extent }: Plan, load: Load): number | null {
  if (load.kind === 'open' && arrivals.kind === 'trace') return arrivals.times.at(-1)! / 1000;
  return Number.isFinite(extent.durationMs) ? extent.durationMs / 1000 : null;
}

/**
 * Calls `send` at each scheduled time, even while earlier calls run.
 * @param times milliseconds from now, ascending
 * @param send receives its scheduled start, on the clock of `performance.now()`
 * @returns the results in the order of the schedule
 */
export async function openLoop<T>(
  times: readonly number[],
  send: (scheduledAt: number) => Promise<T>,
): Promise<T[]> {
  const startedAt = performance.now();
  const pending: Promise<T>[] = [];
  for (const time of times) {
    const left = startedAt + time - performance.now();
    if (left > 0) await setTimeout(left);
    pending.push(send(startedAt + time));
  }
  return Promise.all(pending);
}

/**
 * Runs this many clients, each of which sends its next request when the last one is answered. A server that stalls gets
 * fewer requests, so the tail of a closed loop says little (coordinated omission); it is for throughput.
 */
async function closedLoop<T>(
  concurrency: number,
  { durationMs, requests }: Extent,
  send: (scheduledAt: number) => Promise<T>,
): Promise<T[]> {
  const endsAt = performance.now() + durationMs;
  const results: T[] = [];
  let started = 0;
  const client = async () => {
    while (started < requests && performance.now() < endsAt) {
      started += 1;
      results.push(await send(performance.now()));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  return results;
}
