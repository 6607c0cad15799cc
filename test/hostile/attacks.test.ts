import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goodModels } from '../support/hostile/attack.ts';
import { attacks, loglessAttacks } from '../support/hostile/attacks.ts';
import { writeHostileCheckpoints } from '../support/hostile/checkpoint-attacks.ts';
import { type Besieged, startLogless } from '../support/hostile/logless-service.ts';
import { Neighbour, percentile } from '../support/hostile/neighbour.ts';
import { processorTime, takenByOthers } from '../support/hostile/processor-time.ts';
import {
  besiege,
  type Figures,
  isBack,
  residentOf,
  type SiegeOptions,
  settled,
  strikeUntil,
  warmUp,
} from '../support/hostile/siege.ts';
import type { ServiceUsage } from '../support/process-usage.ts';
import { ServiceProcess } from '../support/service-process.ts';

const keys = { neighbour: 'key-of-the-neighbour', attacker: 'key-of-the-attacker' };
const goodFolders = Object.values(goodModels).map((model) => `models/${model}`);
const drainTimeoutMs = 3000;
/** A service that takes longer to end counts as hung. */
const lateMs = 60_000;
const settings = { ALTUP_SLOTS: '4', ALTUP_DRAIN_TIMEOUT_MS: String(drainTimeoutMs) };

/**
 * Limits on an attack's effect, in milliseconds unless noted, on a machine that runs nothing else. The p99 gap of the
 * neighbour's streams may be three times the idle one. The floor exists because a late step doubles a short idle gap.
 */
const limits = {
  gapRatio: 3,
  gapFloor: 24,
  gapMax: 600,
  neighbour: 3000,
  live: 250,
  /** Growth of resident memory, bytes: enough for two text processes at their limit. */
  memory: 2 * 2 ** 30,
  /** Time to end after the drain deadline. */
  closing: 2000,
};
/** The factor by which everything slows down when other programs use `share` of the machine. */
const slowedBy = (share: number) => 1 / (1 - Math.min(0.95, share));

const table: Record<string, string | number>[] = [];
const mib = (bytes: number) => Math.round(bytes / 2 ** 20);

const counted = (before: ServiceUsage, after: ServiceUsage) => ({
  'of it its own': `${mib(before.own.resident)} → ${mib(after.own.resident)}`,
  descriptors: `${before.own.descriptors} → ${after.own.descriptors}`,
  threads: `${before.own.threads} → ${after.own.threads}`,
  'processes it started': `${before.helpers.processes} → ${after.helpers.processes}`,
});

function note(attack: string, figures: Figures): void {
  const { gapP99, max, outcomes, before, peak, after, failures, others } = figures;
  table.push({
    attack,
    'gap p99, ms': `${Math.round(gapP99.idle)} → ${Math.round(gapP99.attacked)}`,
    'gap max': Math.round(max.gap),
    'first token max': Math.round(max.firstToken),
    'small max': Math.round(max.small),
    'live max': Math.round(max.live),
    'RSS before, peak, after, MiB': [residentOf(before), peak, residentOf(after)].map(mib).join(' → '),
    ...counted(before, after),
    outcome: [...outcomes].map(([outcome, count]) => `${outcome} ×${count}`).join(', '),
    'neighbour failed': failures.length,
    'taken by others': `${Math.round(100 * others)} %`,
  });
}

/** Each of the neighbour's times under an attack, divided by its limit: 1 or more is too late. */
function lateness({ gapP99, max, others }: Figures, neighbourMs: number): Record<string, number> {
  const slower = slowedBy(others);
  return {
    'gap p99': gapP99.attacked / Math.max(limits.gapRatio * gapP99.idle, slower * limits.gapFloor),
    'longest gap': max.gap / (slower * limits.gapMax),
    'first token': max.firstToken / (slower * neighbourMs),
    'small request': max.small / (slower * neighbourMs),
    '/health/live': max.live / (slower * limits.live),
  };
}
const isInTime = (times: Record<string, number>) => Object.values(times).every((time) => time < 1);

/** Attacks the service while a neighbour uses it, and checks all but the neighbour's times, which it returns. */
async function attacked(attack: (typeof attacks)[number], options: SiegeOptions) {
  const figures = await besiege(attack, options);
  note(attack.name, figures);
  const { outcomes, failures, before, peak, after } = figures;
  expect.soft(failures.slice(0, 5)).toEqual([]);
  expect.soft(attack.outcomes, 'outcomes').toEqual(expect.arrayContaining([...outcomes.keys()]));
  expect.soft(peak - residentOf(before), 'memory').toBeLessThan(limits.memory);
  expect.soft({ before, after }).toSatisfy(() => isBack(after, before));
  const signal = AbortSignal.timeout(5000);
  const scrape = await (await fetch(`${options.service.url}/metrics`, { signal })).text();
  expect(scrape).toMatch(/^altup_engine_restarts_total 0$/m);
  return lateness(figures, attack.neighbourMs ?? limits.neighbour);
}

/** Checks an attack. If the neighbour's times miss a limit, two more attacks are made and the medians count. */
async function survives(attack: (typeof attacks)[number], options: SiegeOptions): Promise<void> {
  const first = await attacked(attack, options);
  if (isInTime(first)) return;
  const rounds = [first, await attacked(attack, options), await attacked(attack, options)];
  for (const what of Object.keys(first)) {
    // NaN: the neighbour got nothing at all.
    const times = rounds.map((round) => round[what] || Number.POSITIVE_INFINITY);
    expect.soft(percentile(times, 0.5), `${what}, of its limit: ${times}`).toBeLessThan(1);
  }
}

async function endsInTime(service: Besieged): Promise<void> {
  const stoppedAt = performance.now();
  const before = processorTime(service.pid);
  service.signal('SIGTERM');
  const late = new AbortController();
  const code = await Promise.race([service.exited, setTimeout(lateMs, 'none', late)]);
  late.abort();
  const tookMs = Math.round(performance.now() - stoppedAt);
  table.push({ attack: 'SIGTERM', outcome: `exit code ${code} after ${tookMs} ms` });
  expect(code).toBe(0);
  expect(tookMs).toBeLessThan(drainTimeoutMs + slowedBy(takenByOthers(service.pid, before)) * limits.closing);
}

afterAll(() => console.table(table));

describe('a service that others use, with checkpoints of others', () => {
  let folder: string;
  let service: ServiceProcess;
  let neighbour: Neighbour;
  let usage: ServiceUsage;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'altup-hostile-'));
    await writeHostileCheckpoints(folder);
    service = await ServiceProcess.start({
      ...settings,
      ALTUP_MODELS: [...goodFolders, folder].join(),
      ALTUP_API_KEYS: Object.values(keys).join(),
    });
    neighbour = Neighbour.start({ url: service.url, key: keys.neighbour });
    usage = await warmUp(attacks, { service, neighbour, key: keys.attacker });
  });
  afterAll(async () => {
    await neighbour?.stop();
    service?.signal('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  it.each(attacks)('$name', (attack) => survives(attack, { service, neighbour, key: keys.attacker }));

  it('all of them leave no more behind than the first of each kind', async () => {
    const after = await settled(service.pid, usage);
    table.push({
      attack: 'all, one after another',
      'RSS before, peak, after, MiB': `${mib(residentOf(usage))} → ${mib(residentOf(after))}`,
      ...counted(usage, after),
    });
    expect({ before: usage, after }).toSatisfy(() => isBack(after, usage));
  });

  it('all at once, and SIGTERM meanwhile', async () => {
    let isOver = false;
    const striking = attacks.map((attack) => strikeUntil(attack, service.url, keys.attacker, () => isOver));
    try {
      const { liveMs } = await neighbour.watch(6000);
      table.push({ attack: 'all at once', 'live max': Math.round(Math.max(...liveMs)), outcome: 'alive' });
      await endsInTime(service);
    } finally {
      isOver = true;
      await Promise.all(striking);
    }
  });
});

describe.each(['full disk', 'unread pipe'] as const)('a service without keys that logs to a %s', (log) => {
  let service: Besieged;
  let neighbour: Neighbour;
  beforeAll(async () => {
    service = await startLogless(log, { ...settings, ALTUP_MODELS: goodFolders.join() });
    neighbour = Neighbour.start({ url: service.url, key: null });
    await warmUp(loglessAttacks, { service, neighbour, key: null });
  });
  afterAll(async () => {
    await neighbour?.stop();
    service?.signal('SIGKILL');
  });

  it.each(loglessAttacks)('$name', (attack) => survives(attack, { service, neighbour, key: null }));
  it('SIGTERM ends it', () => endsInTime(service));
});
