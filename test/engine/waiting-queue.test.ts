import { describe, expect, it } from 'vitest';
import {
  ageingMs,
  forgetMs,
  headStartTokens,
  WaitingQueue,
} from '../../src/engine/scheduler/waiting-queue.ts';
import { embeddingRequest, generationRequest, type RequestOverrides } from '../support/generation-request.ts';

const request = (id: string, more: RequestOverrides = {}) =>
  generationRequest({ id, promptTokens: [1, 2], maxTokens: 8, ...more });

type Waiting = ReturnType<typeof request>;

function queueOf(...requests: Waiting[]): WaitingQueue<Waiting> {
  const queue = new WaitingQueue<Waiting>();
  for (const each of requests) queue.add(each);
  return queue;
}

/** The first `count` ids in the order in which they get one of many free slots, all at the time `now`. */
function served(queue: WaitingQueue<Waiting>, now = 100, count = 100): string[] {
  const ids: string[] = [];
  const next = () => queue.first(now, 'free');
  for (let request = next(); request !== null && ids.length < count; request = next()) {
    queue.take(request);
    ids.push(request.id);
  }
  return ids;
}

const many = (count: number, client: string, more: RequestOverrides = {}) =>
  Array.from({ length: count }, (_, i) => request(`${client}${i}`, { client, ...more }));

describe('WaitingQueue', () => {
  it('serves the lower priority value first, then the one that came first', () => {
    const queue = queueOf(
      request('late', { arrivedAt: 3 }),
      request('urgent', { arrivedAt: 9, priority: -1 }),
      request('early', { arrivedAt: 2 }),
      request('twin', { arrivedAt: 3 }),
      request('patient', { arrivedAt: 0, priority: 5 }),
    );
    expect(served(queue, 10)).toEqual(['urgent', 'early', 'late', 'twin', 'patient']);
    expect(queue.size).toBe(0);
  });

  it('is strict between the priorities of a client until waiting has made up for them', () => {
    const queue = () =>
      queueOf(
        request('patient', { arrivedAt: 0, priority: 2 }),
        request('urgent', { arrivedAt: 2 * ageingMs - 1 }),
      );
    expect(served(queue(), 2 * ageingMs - 1, 1)).toEqual(['urgent']);
    expect(served(queue(), 2 * ageingMs, 1)).toEqual(['patient']);
  });

  it('takes turns between clients, however many requests one of them sends', () => {
    const flood = Array.from({ length: 50 }, (_, i) => request(`a${i}`, { client: 'a', arrivedAt: i }));
    const queue = queueOf(...flood);
    queue.add(request('b0', { client: 'b', arrivedAt: 60 }));
    queue.add(request('b1', { client: 'b', arrivedAt: 61 }));
    queue.add(request('c0', { client: 'c', arrivedAt: 62 }));
    expect(served(queue, 100, 6)).toEqual(['a0', 'b0', 'c0', 'a1', 'b1', 'a2']);
  });

  it('counts what requests may take, not how many they are', () => {
    const long = (id: string) => request(id, { client: 'long', maxTokens: 38 });
    const short = (id: string) => request(id, { client: 'short', arrivedAt: 1 });
    const queue = queueOf(long('l0'), long('l1'), ...[0, 1, 2, 3, 4].map((i) => short(`s${i}`)));
    expect(served(queue)).toEqual(['l0', 's0', 's1', 's2', 's3', 'l1', 's4']);
  });

  it.each([0, 1, 2, 100])('shares before it looks at age: a backlog as old as %i levels', (levels) => {
    const now = levels * ageingMs;
    const queue = queueOf(...many(50, 'a'));
    for (const each of many(2, 'b', { arrivedAt: now })) queue.add(each);
    expect(served(queue, now, 4)).toEqual(['a0', 'b0', 'a1', 'b1']);
  });

  it.each([-1, -(2 ** 31)])('lets the priority %i run ahead of its share only so far', (priority) => {
    const each = { promptTokens: [1, 2], maxTokens: 98 };
    const queue = queueOf(...many(200, 'urgent', { ...each, priority }), ...many(200, 'other', each));
    const order = served(queue, 100, 200);
    const ahead = order.findIndex((id) => id.startsWith('other'));
    expect(ahead).toBe(Math.ceil(headStartTokens / 100));
    const afterwards = order.slice(ahead);
    const others = afterwards.filter((id) => id.startsWith('other')).length;
    expect(Math.abs(2 * others - afterwards.length)).toBeLessThanOrEqual(1);
  });

  it.each([1, 2 ** 31 - 1])(
    'takes nothing from the share of a client that asks for priority %i',
    (priority) => {
      const queue = queueOf(...many(9, 'a'), ...many(9, 'b', { priority }));
      expect(served(queue, 100, 4)).toEqual(['a0', 'b0', 'a1', 'b1']);
    },
  );

  it('gives a client that comes back no credit for the time it was away', () => {
    const queue = queueOf(request('b', { client: 'b' }), ...many(20, 'a'));
    served(queue, 100, 11);
    for (const each of many(5, 'b', { arrivedAt: 1 })) queue.add(each);
    expect(served(queue, 100, 6).filter((id) => id.startsWith('b'))).toHaveLength(3);
  });

  it('refunds what a request did not compute, and gives no credit with it', () => {
    const long = { promptTokens: [1, 2], maxTokens: 998 };
    const queue = queueOf(...many(3, 'early', long), ...many(10, 'exact', { maxTokens: 98 }));
    const early = queue.first(0, 'free')!;
    expect(early.id).toBe('early0');
    queue.take(early);
    expect(served(queue, 0, 3)).toEqual(['exact0', 'exact1', 'exact2']);
    queue.release(early, 150, 0);
    // `early` now has 150 charged. `exact` was charged 300 in between, and its last request began at 200.
    expect(served(queue, 0, 2)).toEqual(['early1', 'exact3']);
    queue.release(early, 0, 0);
    for (const each of many(3, 'new')) queue.add(each);
    expect(served(queue, 0, 2)).toEqual(['early2', 'new0']);
  });

  it('gives a spare slot to clients that hold none, and to nobody else', () => {
    const queue = queueOf(...many(5, 'many'));
    const [one, another] = many(2, 'one');
    queue.take(queue.first(0, 'free')!);
    expect(queue.first(0, 'spare')).toBeNull();
    expect(queue.first(0, 'free')?.id).toBe('many1');
    queue.add(one!);
    expect(queue.first(0, 'spare')).toBe(one);
    queue.take(one!);
    queue.add(another!);
    expect(queue.first(0, 'spare')).toBeNull();
    queue.release(one!, 10, 1000);
    expect(queue.first(1000, 'spare')).toBe(another);
  });

  it('lets embedding requests pass those that wait for a slot, in their clients’ turns', () => {
    const embedding = (id: string, client: string) => embeddingRequest({ id, client, arrivedAt: 1 });
    const queue = new WaitingQueue<Waiting | ReturnType<typeof embedding>>();
    for (const each of many(3, 'a')) queue.add(each);
    expect(queue.first(1, 'none')).toBeNull();
    for (const [id, client] of ['a', 'a', 'b', 'b'].entries())
      queue.add(embedding(`${client}-${id}`, client));
    const order: string[] = [];
    for (let next = queue.first(1, 'none'); next !== null; next = queue.first(1, 'none')) {
      queue.take(next);
      queue.release(next, next.promptTokens.length, 1);
      order.push(next.id);
    }
    expect(order).toEqual(['a-0', 'b-2', 'a-1', 'b-3']);
    // They hold no slot, so their clients may have the spare one.
    expect(queue.first(1, 'spare')?.id).toBe('a0');
    expect(queue.size).toBe(3);
  });

  it('refunds and admits newcomers as before while others pass a request that waits', () => {
    const [first, blocked] = many(2, 'a', { maxTokens: 900 });
    const [large, passing] = many(2, 'b', { maxTokens: 5000 });
    const queue = queueOf(first!, large!);
    for (const each of [first!, large!]) queue.take(each);
    queue.add(blocked!);
    queue.add(passing!);
    queue.take(passing!, true);
    queue.release(first!, 10, 0);
    const [newcomer] = many(1, 'c', { arrivedAt: 5 });
    queue.add(newcomer!);
    // The charge of `a` is small again, and `c` did not begin behind it.
    expect(queue.first(5, 'free')).toBe(newcomer);
    queue.take(newcomer!);
    expect(queue.first(5, 'free')).toBe(blocked);
  });

  it('forgets what a client was charged, some time after its last request', () => {
    const chargedFirst = (now: number) => {
      const [large] = many(1, 'a', { maxTokens: 900 });
      const queue = queueOf(large!);
      queue.take(queue.first(0, 'free')!);
      queue.release(large!, 1000, 0);
      queue.first(now, 'free');
      for (const each of [...many(1, 'a'), ...many(1, 'b')]) queue.add(each);
      return queue.first(now, 'free')!.client;
    };
    expect(chargedFirst(forgetMs - 1)).toBe('b');
    expect(chargedFirst(forgetMs)).toBe('a');
  });

  it('gives the only slot of a model to every client in turn', () => {
    const queue = queueOf(...many(3, 'a'), ...many(3, 'b'));
    const order = Array.from({ length: 6 }, (_, now) => {
      const next = queue.first(now, 'free')!;
      queue.take(next);
      queue.release(next, 10, now);
      return next.id;
    });
    expect(order).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'b2']);
  });

  it('takes out those that are picked', () => {
    const queue = queueOf(request('a'), request('b'), request('c'));
    expect(queue.remove(({ id }) => id !== 'b', 0).map(({ id }) => id)).toEqual(['a', 'c']);
    expect(served(queue)).toEqual(['b']);
    expect(queue.first(0, 'free')).toBeNull();
  });
});
