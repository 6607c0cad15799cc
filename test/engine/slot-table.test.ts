import { describe, expect, it } from 'vitest';
import { type SlotMove, SlotTable } from '../../src/engine/scheduler/slot-table.ts';
import { seededRandom } from '../support/seeded-random.ts';

/** A table with `size` slots; the first `decoding` names decode and the others are in prefill. */
function tableWith(size: number, names: string, decoding: number): SlotTable<string> {
  const table = new SlotTable<string>(size);
  for (const name of names) table.take(name);
  for (const name of names.slice(0, decoding)) expect(table.promote(name)).toEqual([]);
  return table;
}

describe('SlotTable', () => {
  it('gives the lowest free slot, and none when full', () => {
    const table = new SlotTable<string>(2);
    expect([table.take('a'), table.take('b'), table.take('c')]).toEqual([0, 1, null]);
    expect(table.taken).toBe(2);
  });

  it('moves the last that decodes into a gap, once for each gap', () => {
    const table = tableWith(5, 'abcde', 4);
    table.release('b');
    expect(table.compact()).toEqual([{ occupant: 'd', from: 3, to: 1 }]);
    expect(table.decoding()).toEqual(['a', 'd', 'c']);
    expect(table.compact()).toEqual([]);
  });

  it('never moves one that is leaving', () => {
    const table = tableWith(4, 'abcd', 4);
    for (const name of ['a', 'd']) table.release(name);
    expect(table.compact()).toEqual([{ occupant: 'c', from: 2, to: 0 }]);
  });

  it('lets prefills join in the order they end, swapping through a free slot', () => {
    const table = tableWith(4, 'abc', 1);
    expect(table.promote('c')).toEqual([
      { occupant: 'b', from: 1, to: 3 },
      { occupant: 'c', from: 2, to: 1 },
    ]);
    expect(table.promote('b')).toEqual([{ occupant: 'b', from: 3, to: 2 }]);
    expect(table.decoding()).toEqual(['a', 'c', 'b']);
  });

  it('makes one wait while its place is taken and no slot is free', () => {
    const table = tableWith(3, 'abc', 1);
    expect(table.promote('c')).toBeNull();
    expect(table.promote('b')).toEqual([]);
    expect(table.promote('c')).toEqual([]);
  });

  it('keeps the batch contiguous and every cache with its owner through random use', () => {
    const random = seededRandom(31);
    const size = 5;
    const table = new SlotTable<string>(size);
    const cache: (string | null)[] = new Array(size).fill(null);
    const prefilling: string[] = [];
    const carryOut = (moves: readonly SlotMove<string>[]) => {
      for (const { from, to } of moves) cache[to] = cache[from]!;
    };
    for (let step = 0; step < 3000; step++) {
      const choice = random.below(4);
      if (choice === 0) {
        const slot = table.take(`request ${step}`);
        if (slot !== null) {
          cache[slot] = `request ${step}`;
          prefilling.push(`request ${step}`);
        }
      } else if (choice === 1 && prefilling.length > 0) {
        const [name] = prefilling.splice(random.below(prefilling.length), 1);
        const moves = table.promote(name!);
        if (moves === null) prefilling.push(name!);
        else carryOut(moves);
      } else if (choice === 2) {
        const leaving = [...table.decoding(), ...prefilling].filter(() => random.next() < 0.3);
        for (const name of leaving) {
          table.release(name);
          if (prefilling.includes(name)) prefilling.splice(prefilling.indexOf(name), 1);
        }
        carryOut(table.compact());
      }
      const decoding = table.decoding();
      expect(decoding.map((name) => table.slotOf(name))).toEqual([...decoding.keys()]);
      for (const name of [...decoding, ...prefilling]) expect(cache[table.slotOf(name)]).toBe(name);
      expect(table.taken).toBe(decoding.length + prefilling.length);
    }
  });
});
