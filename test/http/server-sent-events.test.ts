import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ServerSentEvents } from '../../src/http/json/server-sent-events.ts';

/** A response to a client that reads everything immediately. */
class Written extends EventEmitter {
  readonly writes: string[] = [];
  readonly writableLength = 0;

  writeHead(): void {}

  write(text: string): boolean {
    this.writes.push(text);
    return true;
  }

  end(text: string): void {
    this.writes.push(text);
  }
}

function open(gone: AbortSignal = new AbortController().signal, intervalMs = 5) {
  const response = new Written();
  const reader = { gone, bufferLimit: 1000, intervalMs, onSlow: () => {} };
  const events = new ServerSentEvents(response as unknown as ServerResponse, {}, reader);
  return { events, writes: response.writes };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

it('writes an event at once when the last write is a while ago', () => {
  const { events, writes } = open();
  events.send({ data: '1' });
  vi.advanceTimersByTime(20);
  events.send({ data: '2' });
  expect(writes).toEqual(['data: 1\n\n', 'data: 2\n\n']);
});

it('writes together what follows a write closely, a few milliseconds after it', () => {
  const { events, writes } = open();
  for (const data of ['1', '2', '3']) events.send({ data });
  expect(writes).toEqual(['data: 1\n\n']);
  vi.advanceTimersByTime(5);
  expect(writes).toEqual(['data: 1\n\n', 'data: 2\n\ndata: 3\n\n']);
  events.send({ data: '4' });
  vi.advanceTimersByTime(5);
  expect(writes.at(-1)).toBe('data: 4\n\n');
});

it('writes every event at once with an interval of 0', () => {
  const { events, writes } = open(undefined, 0);
  for (const data of ['1', '2', '3']) events.send({ data });
  expect(writes).toEqual(['data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n']);
});

it('leaves nothing unwritten at its end, and nothing for later', () => {
  const { events, writes } = open();
  for (const data of ['1', '2']) events.send({ data });
  events.end([{ data: '3', name: 'last' }]);
  vi.advanceTimersByTime(20);
  expect(writes).toEqual(['data: 1\n\n', 'data: 2\n\nevent: last\ndata: 3\n\n']);
});

it('writes nothing to a client that has left', () => {
  const left = new AbortController();
  const { events, writes } = open(left.signal);
  for (const data of ['1', '2']) events.send({ data });
  left.abort();
  vi.advanceTimersByTime(20);
  events.send({ data: '3' });
  vi.advanceTimersByTime(20);
  events.end([{ data: '4' }]);
  expect(writes).toEqual(['data: 1\n\n']);
});
