import { describe, expect, it } from 'vitest';
import { decide, hasRoom, patienceMs, type Resident } from '../../src/service/residency.ts';

const resident = (name: string, more: Partial<Resident> = {}): Resident => ({
  name,
  state: 'ready',
  bytes: 10,
  uses: 0,
  usedAt: 0,
  wantedAt: null,
  ...more,
});
const wanted = (name: string, wantedAt: number, more: Partial<Resident> = {}) =>
  resident(name, { state: 'unloaded', wantedAt, ...more });
const nothing = { load: null, unload: [], at: null };
const unlimited = { bytes: Number.POSITIVE_INFINITY, models: Number.POSITIVE_INFINITY };
const two = { ...unlimited, models: 2 };
const bytes = (count: number) => ({ ...unlimited, bytes: count });

describe('decide', () => {
  it('does nothing while nobody wants a model that is not loaded', () => {
    expect(decide([resident('a'), resident('b', { state: 'unloaded' })], unlimited, 0)).toEqual(nothing);
    expect(decide([resident('a', { wantedAt: 5 })], unlimited, 0)).toEqual(nothing);
  });

  it('loads what was wanted first, one at a time', () => {
    const models = [wanted('late', 7), wanted('early', 5), resident('a')];
    expect(decide(models, unlimited, 9)).toEqual({ ...nothing, load: 'early' });
    expect(decide([...models, resident('b', { state: 'loading' })], unlimited, 9)).toEqual(nothing);
  });

  it('loads no later model before one for which there is no room yet', () => {
    const models = [
      wanted('large', 5, { bytes: 20 }),
      wanted('small', 6),
      resident('leaving', { state: 'unloading' }),
    ];
    expect(decide(models, bytes(20), 9)).toEqual(nothing);
  });

  it.each([
    ['their number', two],
    ['their memory', bytes(25)],
  ])('unloads the idle model that was used least recently, for %s', (_, limits) => {
    const models = [resident('a', { usedAt: 4 }), resident('b', { usedAt: 3 }), wanted('c', 5)];
    expect(decide(models, limits, 5)).toEqual({ ...nothing, unload: ['b'] });
  });

  it('unloads as many as it takes, and no more', () => {
    const idle = ['a', 'b', 'c'].map((name, usedAt) => resident(name, { usedAt }));
    expect(decide([...idle, wanted('d', 5, { bytes: 20 })], bytes(30), 5).unload).toEqual(['a', 'b']);
  });

  it('counts on those that are leaving already', () => {
    const models = [resident('a', { state: 'unloading' }), resident('b'), wanted('c', 5)];
    expect(decide(models, two, 5)).toEqual(nothing);
  });

  it('spares models in use for a while, then tells the one used least recently to leave', () => {
    const models = [
      resident('a', { uses: 3, usedAt: 1 }),
      resident('b', { uses: 1, usedAt: 2 }),
      wanted('c', 5),
    ];
    expect(decide(models, two, 6)).toEqual({ ...nothing, at: 5 + patienceMs });
    expect(decide(models, two, 5 + patienceMs)).toEqual({ ...nothing, unload: ['a'] });
  });

  it('unloads an idle model before one in use, however long the wait was', () => {
    const models = [resident('a', { uses: 3, usedAt: 1 }), resident('b', { usedAt: 2 }), wanted('c', 0)];
    expect(decide(models, two, 10 * patienceMs)).toEqual({ ...nothing, unload: ['b'] });
  });

  it('counts models whose engine restarts as loaded, and failed ones not', () => {
    expect(
      decide([resident('a', { state: 'restarting' }), wanted('b', 0)], { ...two, models: 1 }, 0),
    ).toEqual({
      ...nothing,
      unload: ['a'],
    });
    expect(decide([resident('a', { state: 'failed' }), wanted('b', 0)], { ...two, models: 1 }, 0).load).toBe(
      'b',
    );
  });

  it('loads a model alone, even while the process takes more than it should', () => {
    expect(decide([wanted('a', 0)], bytes(1), 0).load).toBe('a');
  });
});

describe('hasRoom', () => {
  it('counts what is loaded and what is wanted before', () => {
    const models = [
      resident('a'),
      resident('failed', { state: 'failed' }),
      resident('out', { state: 'unloaded' }),
    ];
    expect(hasRoom(models, resident('b'), two)).toBe(true);
    expect(hasRoom([...models, wanted('c', 1)], resident('b'), two)).toBe(false);
    expect(hasRoom(models, resident('b'), bytes(19))).toBe(false);
    expect(hasRoom(models, resident('b'), bytes(20))).toBe(true);
  });
});
