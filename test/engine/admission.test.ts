import { beforeEach, describe, expect, it } from 'vitest';
import { Admission } from '../../src/engine/client/admission.ts';
import { DrainRate } from '../../src/engine/client/queue-bound.ts';
import { ServiceError } from '../../src/errors.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { seededRandom } from '../support/seeded-random.ts';

const arriving = (promptTokens: number[], client: string) => ({ promptTokens, completionPrefix: [], client });
const requests = (...lengths: number[]) =>
  lengths.map((length) => arriving(new Array(length).fill(1), 'someone'));

function refusal(call: () => void): ServiceError {
  try {
    call();
  } catch (error) {
    if (error instanceof ServiceError) return error;
  }
  throw new Error('nothing was refused');
}

describe('Admission', () => {
  let clock: ManualClock;
  let admission: Admission;
  beforeEach(() => {
    clock = new ManualClock(1000);
    admission = new Admission(
      { maxQueuedRequests: 4, maxQueuedTokens: 100, clientQueueShare: 100 },
      clock.now,
    );
  });

  it('takes as many requests as may wait, all of a group or none', () => {
    admission.reserve(requests(1, 1, 1));
    expect(refusal(() => admission.reserve(requests(1, 1))).code).toBe('queue_full');
    expect(admission.queuedRequests).toBe(3);
  });

  it('takes one more while there is room for one', () => {
    admission.reserve(requests(1, 1, 1));
    admission.reserve(requests(1));
    expect(admission.queuedRequests).toBe(4);
    expect(refusal(() => admission.reserve(requests(1))).code).toBe('queue_full');
  });

  it('takes as many prompt tokens as may wait', () => {
    admission.reserve(requests(60, 30));
    admission.reserve(requests(10));
    expect(admission.queuedTokens).toBe(100);
    expect(refusal(() => admission.reserve(requests(1))).code).toBe('queue_full');
  });

  it('has room again when one leaves', () => {
    const [first, ...others] = requests(50, 50);
    admission.reserve([first!, ...others]);
    admission.leave(first!);
    expect([admission.queuedRequests, admission.queuedTokens]).toEqual([1, 50]);
    admission.reserve(requests(50));
  });

  it('says when to come back from how fast the queue moves', () => {
    const retryAfter = () => refusal(() => admission.reserve(requests(1, 1, 1, 1))).retryAfterSeconds;
    // One request of 10 tokens leaves every 2 seconds.
    admission.reserve(requests(10, 10, 10, 10));
    for (let i = 0; i < 30; i++) {
      clock.advance(2000);
      admission.leave(requests(10)[0]!);
      admission.reserve(requests(10));
    }
    // Four must leave first, in about 8 seconds. The next four are told to come 10 seconds later.
    const [first, second] = [retryAfter()!, retryAfter()!];
    expect(first).toBeGreaterThanOrEqual(7);
    expect(first).toBeLessThanOrEqual(8);
    expect(second - first).toBeGreaterThanOrEqual(9);
    expect(second - first).toBeLessThanOrEqual(10);
    clock.advance(36_000_000);
    expect(retryAfter()).toBe(3600);
  });

  it('remembers its speed through a quiet hour', () => {
    for (let i = 0; i < 30; i++) {
      admission.reserve(requests(10));
      clock.advance(2000);
      admission.leave(requests(10)[0]!);
    }
    clock.advance(3_600_000);
    admission.reserve(requests(1, 1, 1, 1));
    const { retryAfterSeconds } = refusal(() => admission.reserve(requests(1, 1, 1, 1)));
    expect(retryAfterSeconds).toBeGreaterThanOrEqual(7);
    expect(retryAfterSeconds).toBeLessThanOrEqual(8);
  });

  it('counts tokens where they are what is full', () => {
    admission.reserve(requests(50, 50));
    for (let i = 0; i < 100; i++) {
      clock.advance(100);
      admission.leave(requests(1)[0]!);
      admission.reserve(requests(1));
    }
    // 10 tokens leave per second; 98 must leave.
    expect(refusal(() => admission.reserve(requests(98))).retryAfterSeconds).toBeCloseTo(10, -0.5);
  });

  it.each([
    ['', 1, 100],
    [', in which it is half as fast', 2, 100],
    [', of one client', 1, 75],
    [', of one client, in which it is half as fast', 2, 75],
  ])(
    'lets in 19 of 20 of those who come back when told, in and after a minute of ten times the load%s',
    (_, slowness, clientQueueShare) => {
      const busy = new Admission(
        { maxQueuedRequests: 32, maxQueuedTokens: 1000, clientQueueShare },
        clock.now,
      );
      const random = seededRandom(3);
      const returns: { at: number; name: number }[] = [];
      let queued = 0;
      let [tries, successes] = [0, 0];
      const arrive = (isReturn: boolean, name: number, second: number) => {
        tries += Number(isReturn);
        try {
          busy.reserve([arriving([name, 2, 3, 4, 5], 'everyone')]);
          queued += 1;
          successes += Number(isReturn);
        } catch (error) {
          // Clients return once: one that is refused twice has gone elsewhere.
          if (!isReturn) returns.push({ at: second + (error as ServiceError).retryAfterSeconds!, name });
        }
      };
      // The service handles ten requests a second; a hundred a second arrive, for a minute.
      for (let tick = 0; tick < 20_000; tick++) {
        const second = tick / 10;
        clock.advance(100);
        const isServing = tick >= 600 || tick % slowness === 0;
        if (queued > 0 && isServing) {
          busy.leave({ ...requests(5)[0]!, client: 'everyone' });
          queued -= 1;
        }
        const due = returns.filter(({ at }) => at <= second);
        for (const each of returns.splice(0)) if (each.at > second) returns.push(each);
        const fresh = Array.from({ length: tick < 600 ? 10 : 0 }, (_, i) => tick * 10 + i);
        const arrivals = [
          ...due.map(({ name }) => ({ isReturn: true, name })),
          ...fresh.map((name) => ({ isReturn: false, name })),
        ];
        while (arrivals.length > 0) {
          const [{ isReturn, name }] = arrivals.splice(random.below(arrivals.length), 1) as [
            (typeof arrivals)[0],
          ];
          arrive(isReturn, name, second);
        }
      }
      expect(tries).toBeGreaterThan(5000);
      expect(successes / tries).toBeGreaterThan(0.95);
    },
  );

  it('keeps a part of the queue for those who come when they were told, and for them alone', () => {
    const prompt = (name: number) => [arriving([name], 'someone')];
    admission.reserve(requests(1, 1, 1, 1));
    const told = refusal(() => admission.reserve(prompt(7))).retryAfterSeconds!;
    admission.leave(requests(1)[0]!);
    clock.advance(told * 1000);
    expect(refusal(() => admission.reserve(prompt(8))).message).toContain('reserved for clients');
    expect(refusal(() => admission.reserve([arriving([7], 'another')])).code).toBe('queue_full');
    admission.reserve(prompt(7));
    expect(admission.queuedRequests).toBe(4);
  });

  it('guesses while nothing has left yet', () => {
    clock.advance(10_000);
    admission.reserve(requests(1, 1, 1, 1));
    expect(refusal(() => admission.reserve(requests(1))).retryAfterSeconds).toBe(5);
  });

  it('never says less than a second', () => {
    admission.reserve(requests(1, 1, 1, 1));
    for (let i = 0; i < 1000; i++) {
      clock.advance(1);
      admission.leave(requests(1)[0]!);
      admission.reserve(requests(1));
    }
    expect(refusal(() => admission.reserve(requests(1))).retryAfterSeconds).toBe(1);
  });
});

describe('what one client may hold', () => {
  const of = (client: string, count: number, tokens = 1) =>
    requests(...new Array(count).fill(tokens)).map((request) => ({ ...request, client }));
  let clock: ManualClock;
  let admission: Admission;
  beforeEach(() => {
    clock = new ManualClock(1000);
    const limits = { maxQueuedRequests: 100, maxQueuedTokens: 1000, clientQueueShare: 75 };
    admission = new Admission(limits, clock.now);
  });
  /** Reserves requests one by one until the first refusal. @returns how many were accepted */
  const fill = (client: string, tokens = 1): number => {
    for (let taken = 0; ; taken++) {
      try {
        admission.reserve(of(client, 1, tokens));
      } catch {
        return taken;
      }
    }
  };

  it.each([
    ['sequences', 1, 75],
    ['prompt tokens', 20, 37],
  ])('is its share while it is alone: %s', (_, tokens, count) => {
    expect(fill('a', tokens)).toBe(count);
    const { code, message } = refusal(() => admission.reserve(of('a', 1, tokens)));
    expect(code).toBe('queue_full');
    expect(message).toContain('one client may hold at most 75 % of the queue');
    admission.reserve(of('b', 1, tokens));
  });

  it('is less beside others, and leaves room for one more', () => {
    const taken = ['a', 'b', 'c', 'd'].map((client) => fill(client));
    expect(taken[0]).toBe(75);
    expect(taken.slice(1)).toEqual([18, 5, 1]);
    admission.reserve(of('newcomer', 1));
  });

  it('takes a large request whole or not at all, beside what the client holds', () => {
    admission.reserve(of('a', 50));
    admission.reserve(of('a', 25));
    expect(admission.queuedRequests).toBe(75);
    for (const request of of('a', 25)) admission.leave(request);
    expect(refusal(() => admission.reserve(of('a', 26))).code).toBe('queue_full');
    expect(admission.queuedRequests).toBe(50);
  });

  it('tells a client when its own have left, and nobody else to come later for it', () => {
    admission.reserve(of('a', 75));
    for (let i = 0; i < 20; i++) {
      clock.advance(1000);
      admission.leave(of('a', 1)[0]!);
      admission.reserve(of('a', 1));
    }
    const refused = Array.from({ length: 500 }, () => refusal(() => admission.reserve(of('a', 1))));
    expect(refused[0]!.retryAfterSeconds).toBeLessThanOrEqual(2);
    expect(refused[499]!.retryAfterSeconds).toBeGreaterThan(500);
    expect(refused[499]!.retryAfterSeconds).toBeLessThan(700);
    admission.reserve(of('b', 20));
    expect(refusal(() => admission.reserve(of('c', 6))).retryAfterSeconds).toBeLessThanOrEqual(2);
  });

  it('keeps room for its own returns, but not from others', () => {
    fill('a');
    const prompt = (name: number) => [arriving([name], 'a')];
    const told = refusal(() => admission.reserve(prompt(7))).retryAfterSeconds!;
    admission.leave(prompt(1)[0]!);
    clock.advance(told * 1000);
    expect(refusal(() => admission.reserve(prompt(8))).message).toContain('reserved for clients');
    admission.reserve(prompt(7));
    admission.reserve(of('b', 20));
  });

  it('gives back what was given up', () => {
    fill('a');
    for (const request of of('a', 75)) admission.leave(request);
    expect([admission.queuedRequests, admission.queuedTokens]).toEqual([0, 0]);
    expect(fill('a')).toBe(75);
  });
});

describe('DrainRate', () => {
  it('finds a steady rate at once and follows a change', () => {
    const rate = new DrainRate(0);
    let now = 0;
    const recordEverySecond = (amount: number, times: number) => {
      for (let i = 0; i < times; i++) {
        now += 1000;
        rate.record(amount, now);
      }
    };
    expect(rate.perSecond(now)).toBeNull();
    recordEverySecond(5, 10);
    expect(rate.perSecond(now)).toBeGreaterThan(4.5);
    expect(rate.perSecond(now)).toBeLessThan(7);
    recordEverySecond(1, 100);
    expect(rate.perSecond(now)).toBeCloseTo(1, 3);
    expect(rate.perSecond(now + 600_000)).toBeLessThan(0.1);
  });
});
