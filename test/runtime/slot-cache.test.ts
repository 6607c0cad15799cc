import { describe, expect, it } from 'vitest';
import { SlotCache } from '../../src/runtime/portable/slot-cache.ts';

const shape = { slots: 3, heads: 2, headSize: 4, maxCapacity: 200, isHalf: false };

/** Rows [positions, heads × headSize]; each number encodes slot, position, head and lane. */
function rows(slot: number, from: number, positions: number): Float32Array {
  const data = new Float32Array(positions * 8);
  for (let position = 0; position < positions; position += 1) {
    for (let lane = 0; lane < 8; lane += 1)
      data[position * 8 + lane] = slot * 10_000 + (from + position) * 10 + lane;
  }
  return data;
}

/** The number of `slot` at [head, position, lane], read through the view that graphs get as input. */
function at(cache: SlotCache, slot: number, head: number, position: number, lane: number): number {
  const { data, dims } = cache.view(slot, 1);
  expect(dims).toEqual([1, 2, cache.capacity, 4]);
  return data[(head * cache.capacity + position) * 4 + lane] ?? Number.NaN;
}

describe('SlotCache', () => {
  it('keeps positions apart by slot and head', () => {
    const cache = new SlotCache(shape);
    for (let slot = 0; slot < 3; slot += 1) cache.writePositions(slot, 5, rows(slot, 5, 3));
    expect(at(cache, 2, 1, 6, 3)).toBe(20_000 + 60 + 7);
    expect(at(cache, 0, 0, 7, 0)).toBe(70);
    expect(at(cache, 1, 0, 4, 0)).toBe(0);
  });

  it('grows without losing what it holds, and never past its limit', () => {
    const cache = new SlotCache(shape);
    for (let slot = 0; slot < 3; slot += 1) cache.writePositions(slot, 0, rows(slot, 0, 64));
    cache.reserve(65);
    expect(cache.capacity).toBe(128);
    cache.reserve(129);
    expect(cache.capacity).toBe(200);
    for (let slot = 0; slot < 3; slot += 1) {
      for (const position of [0, 31, 63])
        expect(at(cache, slot, 1, position, 2)).toBe(slot * 10_000 + position * 10 + 6);
      expect(at(cache, slot, 1, 64, 2)).toBe(0);
    }
    expect(() => cache.reserve(201)).toThrow(/201 positions requested, the maximum is 200/);
  });

  it('copies the first positions of a slot and no more', () => {
    const cache = new SlotCache(shape);
    cache.writePositions(2, 0, rows(2, 0, 10));
    cache.writePositions(0, 0, rows(0, 0, 10));
    cache.copy(2, 0, 6);
    expect(at(cache, 0, 1, 5, 1)).toBe(20_000 + 50 + 5);
    expect(at(cache, 0, 1, 6, 1)).toBe(60 + 5);
  });

  it('takes blocks head by head', () => {
    const cache = new SlotCache(shape);
    cache.writeHeads(
      1,
      Float32Array.from({ length: 2 * 3 * 4 }, (_, i) => i),
    );
    expect(at(cache, 1, 1, 2, 3)).toBe(23);
    expect(at(cache, 1, 0, 2, 3)).toBe(11);
    expect(at(cache, 1, 1, 3, 0)).toBe(0);
  });
});
