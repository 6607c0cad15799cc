import { setTimeout } from 'node:timers/promises';
import { type ProcessUsage, processUsage } from '../process-usage.ts';
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
  before: ProcessUsage;
  after: ProcessUsage;
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
  // What pools and heaps take the first time is not held against the attack.
  await strikeUntil(attack, url, key, () => true);
  const idle = await neighbour.watch(idleMs, idleGaps);
  const before = processUsage(pid);
  const timeBefore = processorTime(pid);
  let peak = before.resident;
  const sampling = setInterval(() => {
    peak = Math.max(peak, processUsage(pid).resident);
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

/** The share by which memory may have grown, and what the neighbour's own coming and going takes. */
const slack = { memory: 1.2, descriptors: 8 };

export const isBack = (now: ProcessUsage, before: ProcessUsage) =>
  now.resident <= slack.memory * before.resident && now.descriptors <= before.descriptors + slack.descriptors;

async function settled(pid: number, before: ProcessUsage): Promise<ProcessUsage> {
  const until = performance.now() + settleMs;
  for (;;) {
    const now = processUsage(pid);
    if (isBack(now, before) || performance.now() > until) return now;
    await setTimeout(250);
  }
}
