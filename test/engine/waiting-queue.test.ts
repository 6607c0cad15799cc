import { describe, expect, it } from 'vitest';
import { ageingMs, WaitingQueue } from '../../src/engine/waiting-queue.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';

const request = (id: string, more: RequestOverrides = {}) =>
  generationRequest({ id, promptTokens: [1, 2], maxTokens: 8, ...more });

type Waiting = ReturnType<typeof request>;

function queueOf(...requests: Waiting[]): WaitingQueue<Waiting> {
  const queue = new WaitingQueue<Waiting>();
  for (const each of requests) queue.add(each);
  return queue;
}

/** Ids in the order in which they get a slot, `count` at most, all at the moment `now`. */
function served(queue: WaitingQueue<Waiting>, now = 100, count = 100): string[] {
  const ids: string[] = [];
  for (let next = queue.first(now); next !== null && ids.length < count; next = queue.first(now)) {
    queue.take(next);
    ids.push(next.id);
  }
  return ids;
}

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

  it('is strict between priorities until waiting has made up for them', () => {
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

  it('gives a client that comes back no credit for the time it was away', () => {
    const of = (client: string) => (_: unknown, i: number) => request(`${client}${i}`, { client });
    const queue = queueOf(request('b', { client: 'b' }), ...Array.from({ length: 20 }, of('a')));
    served(queue, 100, 11);
    for (const each of Array.from({ length: 5 }, of('b'))) queue.add(each);
    expect(served(queue, 100, 6).filter((id) => id.startsWith('b'))).toHaveLength(3);
  });

  it('takes out those that are picked', () => {
    const queue = queueOf(request('a'), request('b'), request('c'));
    expect(queue.remove(({ id }) => id !== 'b').map(({ id }) => id)).toEqual(['a', 'c']);
    expect(served(queue)).toEqual(['b']);
    expect(queue.first(0)).toBeNull();
  });
});
