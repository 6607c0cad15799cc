import { beforeEach, describe, expect, it } from 'vitest';
import { RetryReservations } from '../../src/engine/client/queue-bound.ts';

describe('RetryReservations', () => {
  let turns: RetryReservations;
  beforeEach(() => {
    turns = new RetryReservations();
    turns.add('a', 1000);
    turns.add('b', 2000);
  });

  it('has a turn for who was told, once, when it has come', () => {
    expect(turns.take('a', 999)).toBe(false);
    expect(turns.take('b', 1000)).toBe(false);
    expect(turns.take('a', 1000)).toBe(true);
    expect(turns.take('a', 1000)).toBe(false);
    expect(turns.take('b', 2500)).toBe(true);
  });

  it('has as many turns of one as it was told times', () => {
    turns.add('b', 2100);
    expect([1, 2, 3].map(() => turns.take('b', 2100))).toEqual([true, true, false]);
  });

  it('gives up a turn whose time is long past', () => {
    expect(turns.isEmpty(0)).toBe(false);
    expect(turns.take('a', 6000)).toBe(true);
    expect(turns.isEmpty(7000)).toBe(false);
    expect(turns.take('b', 7001)).toBe(false);
    expect(turns.isEmpty(7001)).toBe(true);
  });

  it('keeps a bounded number', () => {
    for (let i = 0; i < 70_000; i++) turns.add(`${i}`, 3000);
    expect(turns.take('65000', 3000)).toBe(true);
    expect(turns.take('66000', 3000)).toBe(false);
  });
});
