import { describe, expect, it } from 'vitest';
import { quantizeApart } from '../../../src/export/quantize/quantize-pool.ts';
import { quantizeRows } from '../../../src/export/quantize/quantize-rows.ts';
import { mapAhead } from '../../../src/export/quantize/quantized-matrix.ts';
import { noise } from '../../support/noise.ts';

it('threads give what one alone gives, each job its own', async () => {
  const columns = 512;
  const jobs = [1, 2, 3, 4, 5].map((seed) => ({
    values: Float32Array.from({ length: 1100 * columns }, noise(seed)),
    columns,
    bits: 4 as const,
  }));
  const expected = jobs.map(quantizeRows);
  expect(await Promise.all(jobs.map(quantizeApart))).toEqual(expected);
  expect(jobs.map(({ values }) => values.length)).toEqual([0, 0, 0, 0, 0]);
});

describe('mapAhead', () => {
  async function* numbers(count: number) {
    for (let n = 0; n < count; n += 1) yield n;
  }

  it('keeps the order and no more under way than told', async () => {
    let [underWay, most] = [0, 0];
    const square = async (n: number) => {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise((resolve) => setTimeout(resolve, (7 * n) % 5));
      underWay -= 1;
      return n * n;
    };
    expect(await Array.fromAsync(mapAhead(numbers(20), 3, square))).toEqual(
      Array.from({ length: 20 }, (_, n) => n * n),
    );
    expect(most).toBe(3);
  });

  it('throws what an item throws, in its turn', async () => {
    const found: number[] = [];
    const attempt = (async () => {
      const fail = async (n: number) => {
        if (n > 1) throw new Error(`item ${n}`);
        return n;
      };
      for await (const n of mapAhead(numbers(9), 4, fail)) found.push(n);
    })();
    await expect(attempt).rejects.toThrow('item 2');
    expect(found).toEqual([0, 1]);
  });
});
