import { describe, expect, it, vi } from 'vitest';
import { EventStream } from '../../src/engine/client/tracked-requests.ts';

const event = (at: number) => ({ type: 'started', id: 'a', at }) as const;

describe('EventStream', () => {
  it('delivers events in order, those before and those after they are asked for', async () => {
    const stream = new EventStream([], () => {});
    stream.push(event(1));
    const seen: number[] = [];
    const consumed = (async () => {
      for await (const each of stream) seen.push((each as { at: number }).at);
    })();
    stream.push(event(2));
    await Promise.resolve();
    stream.push(event(3));
    stream.close();
    await consumed;
    expect(seen).toEqual([1, 2, 3]);
  });

  it('ends a consumer that waits', async () => {
    const stream = new EventStream([], () => {});
    const waiting = stream.next();
    stream.close();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  it('tells once when a consumer leaves early, and not when the events have ended', async () => {
    const onLeave = vi.fn();
    const left = new EventStream([], onLeave);
    left.push(event(1));
    left.push(event(2));
    for await (const _ of left) break;
    await left.return();
    expect(onLeave).toHaveBeenCalledTimes(1);
    expect(await left.next()).toEqual({ done: true, value: undefined });

    const finished = new EventStream([], onLeave);
    finished.push(event(1));
    finished.close();
    for await (const _ of finished) break;
    expect(onLeave).toHaveBeenCalledTimes(1);
  });
});
