import { setTimeout } from 'node:timers/promises';
import { type ServiceUsage, serviceUsage } from '../process-usage.ts';
import type { Attack } from './attack.ts';
import { Attacker, type Outcome } from './attacker.ts';
import type { Besieged } from './logless-service.ts';
import { type Neighbour, type Observations, percentile } from './neighbour.ts';
import { processorTime, takenByOthers } from './processor-time.ts';

const sampleMs = 200;
const idleMs = 1500;
/** With fewer gaps the 99th percentile means nothing. */
const idleGaps = 200;
const attackMs = 4000;
const warmUpMs = 8000;
/** Warm-up of each attack alone, after all attacks together. */
const warmUpEachMs = 500;
/** Maximum wait until memory and descriptors are released. */
const settleMs = 6000;

export interface SiegeOptions {
  service: Besieged;
  neighbour: Neighbour;
  /** The attackers' API key. */
  key: string | null;
}

/** The measurements of one attack. */
export interface Figures {
  gapP99: { idle: number; attacked: number };
  /** The maximum of each during the attack, in milliseconds. */
  max: { gap: number; firstToken: number; small: number; live: number };
  failures: readonly string[];
  /** How many of the attackers' requests had each outcome. */
  outcomes: ReadonlyMap<Outcome, number>;
  before: ServiceUsage;
  after: ServiceUsage;
  /** Peak memory of the service, bytes. */
  peak: number;
  /** The share of the machine that other programs used during the attack, from 0 to 1. */
  others: number;
}

/** Strikes until `isOver`, then waits for running strikes to finish. */
export async function strikeUntil(
  attack: Attack,
  url: string,
  key: string | null,
  isOver: () => boolean,
): Promise<Map<Outcome, number>> {
  const outcomes = new Map<Outcome, number>();
  const attackers = Array.from({ length: attack.attackers }, async () => {
    const attacker = new Attacker(url, key, attack.withinMs);
    do {
      for (const outcome of [await attack.strike(attacker).catch(connectionLost)].flat())
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    } while (!isOver());
  });
  await Promise.all(attackers);
  return outcomes;
}

const connectionLost = (error: NodeJS.ErrnoException): Outcome => `connection ${error.code ?? error}`;

/** Lets the neighbour watch the idle service, then attacks it, then waits until the service releases its resources. */
export async function besiege(attack: Attack, { service, neighbour, key }: SiegeOptions): Promise<Figures> {
  const { pid, url } = service;
  const idle = await neighbour.watch(idleMs, idleGaps);
  const before = serviceUsage(pid);
  const timeBefore = processorTime(pid);
  let peak = residentOf(before);
  const sampling = setInterval(() => {
    peak = Math.max(peak, residentOf(serviceUsage(pid)));
  }, sampleMs);
  const endsAt = performance.now() + (attack.forMs ?? attackMs);
  const outcomes = await strikeUntil(attack, url, key, () => performance.now() >= endsAt);
  clearInterval(sampling);
  const attacked = await neighbour.observed();
  const others = takenByOthers(pid, timeBefore);
  return {
    gapP99: { idle: percentile(idle.gapsMs, 0.99), attacked: percentile(attacked.gapsMs, 0.99) },
    max: {
      gap: longest(attacked, 'gapsMs'),
      firstToken: longest(attacked, 'firstTokenMs'),
      small: longest(attacked, 'smallMs'),
      live: longest(attacked, 'liveMs'),
    },
    failures: attacked.failures,
    outcomes,
    before,
    peak,
    others,
    after: await settled(pid, before),
  };
}

/** The maximum of the measured times; NaN if there are none, because nothing came through. */
const longest = (seen: Observations, what: Exclude<keyof Observations, 'failures'>) =>
  percentile(seen[what], 1);

/** Runs all attacks together, then each alone, so that no attack is charged for the first growth of pools and heaps. */
export async function warmUp(
  attacks: readonly Attack[],
  { service, key }: SiegeOptions,
): Promise<ServiceUsage> {
  const strike = (chosen: readonly Attack[], milliseconds: number) => {
    const endsAt = performance.now() + milliseconds;
    const isOver = () => performance.now() >= endsAt;
    return Promise.all(chosen.map((attack) => strikeUntil(attack, service.url, key, isOver)));
  };
  await strike(attacks, warmUpMs);
  for (const attack of attacks) await strike([attack], warmUpEachMs);
  await setTimeout(idleMs);
  return serviceUsage(service.pid);
}

export const residentOf = ({ own, helpers }: ServiceUsage) => own.resident + helpers.resident;

/**
 * Allowed growth: the factor for memory, or bytes if that is more, because glibc's heaps, one for each thread, and V8's
 * keep up to 165 MiB of what all attacks together made them reserve (the same attacks again add 7 MiB); descriptors for the neighbour's reconnections, and for each helper process that
 * the service started. Helpers come and go; `helpers` and `helperBytes` limit their number and size.
 */
const slack = {
  memory: 1.2,
  bytes: 256 * 2 ** 20,
  descriptors: 8,
  byHelper: 5,
  helpers: 6,
  helperBytes: 320 * 2 ** 20,
};

export function isBack(now: ServiceUsage, before: ServiceUsage): boolean {
  const started = Math.max(0, now.helpers.processes - before.helpers.processes);
  return (
    now.own.resident <= Math.max(slack.memory * before.own.resident, before.own.resident + slack.bytes) &&
    now.own.descriptors <= before.own.descriptors + slack.descriptors + started * slack.byHelper &&
    now.helpers.processes <= slack.helpers &&
    now.helpers.resident <= now.helpers.processes * slack.helperBytes
  );
}

/** The service's usage once it has released its resources, or when the time for that is over. */
export async function settled(pid: number, before: ServiceUsage): Promise<ServiceUsage> {
  const until = performance.now() + settleMs;
  for (;;) {
    const now = serviceUsage(pid);
    if (isBack(now, before) || performance.now() > until) return now;
    await setTimeout(250);
  }
}
