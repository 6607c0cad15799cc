import { setTimeout } from 'node:timers/promises';
import { type ServiceUsage, serviceUsage } from '../process-usage.ts';
import type { Attack } from './attack.ts';
import { Attacker, type Outcome } from './attacker.ts';
import type { Besieged } from './logless-service.ts';
import { type Neighbour, type Observations, percentile } from './neighbour.ts';
import { processorTime, takenByOthers } from './processor-time.ts';

const sampleMs = 200;
const idleMs = 1500;
/** Fewer say nothing of the slowest in a hundred. */
const idleGaps = 200;
const attackMs = 4000;
const warmUpMs = 8000;
/** Of each attack by itself, after all together. */
const warmUpEachMs = 500;
/** Longest wait for memory and descriptors to be given back. */
const settleMs = 6000;

export interface SiegeOptions {
  service: Besieged;
  neighbour: Neighbour;
  /** The attackers'. */
  key: string | null;
}

/** How an attack went. */
export interface Figures {
  gapP99: { idle: number; attacked: number };
  /** The longest of each, in milliseconds, while attacked. */
  max: { gap: number; firstToken: number; small: number; live: number };
  failures: readonly string[];
  /** How often the attackers' requests ended how. */
  outcomes: ReadonlyMap<Outcome, number>;
  before: ServiceUsage;
  after: ServiceUsage;
  /** Most memory it took at a time, bytes. */
  peak: number;
  /** The share of the machine that other programs took meanwhile, from 0 to 1. */
  others: number;
}

/** Strikes until `isOver`, and waits for what is under way. */
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

/** Attacks the service while its neighbour watches, idle first, and then waits for it to give back what it took. */
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

/** NaN where there was none: nothing came through at all. */
const longest = (seen: Observations, what: Exclude<keyof Observations, 'failures'>) =>
  percentile(seen[what], 1);

/** All attacks together, then each: what pools and heaps take until they are as large as they get is held against none. */
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
 * The share by which memory may have grown, the descriptors that the neighbour's coming and going takes, and those by
 * which a process is held that the service started. Such processes come and go; how many, and how large, has its limit.
 */
const slack = { memory: 1.2, descriptors: 8, byHelper: 5, helpers: 6, helperBytes: 320 * 2 ** 20 };

export function isBack(now: ServiceUsage, before: ServiceUsage): boolean {
  const started = Math.max(0, now.helpers.processes - before.helpers.processes);
  return (
    now.own.resident <= slack.memory * before.own.resident &&
    now.own.descriptors <= before.own.descriptors + slack.descriptors + started * slack.byHelper &&
    now.helpers.processes <= slack.helpers &&
    now.helpers.resident <= now.helpers.processes * slack.helperBytes
  );
}

/** What it holds once it has given back what it took, or the time for that is over. */
export async function settled(pid: number, before: ServiceUsage): Promise<ServiceUsage> {
  const until = performance.now() + settleMs;
  for (;;) {
    const now = serviceUsage(pid);
    if (isBack(now, before) || performance.now() > until) return now;
    await setTimeout(250);
  }
}
