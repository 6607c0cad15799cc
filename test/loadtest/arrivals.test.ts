import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ArrivalPattern, arrivalTimes, readTrace } from '../../src/loadtest/load/arrivals.ts';
import { randomStream } from '../../src/loadtest/load/random-stream.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const perSecond = 50;
const endMs = 400_000;
const times = (pattern: ArrivalPattern, seed = 1) =>
  arrivalTimes(pattern, perSecond, endMs, randomStream(seed, 'arrivals'));

/** Mean of the gaps in milliseconds, and their standard deviation divided by the mean. */
function gaps(of: readonly number[]) {
  const values = of.map((at, i) => at - (of[i - 1] ?? 0));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, variation: Math.sqrt(variance) / mean };
}

describe('arrivalTimes', () => {
  it.each<[ArrivalPattern, number]>([
    [{ kind: 'constant' }, 0],
    [{ kind: 'poisson' }, 1],
    [{ kind: 'gamma', burstiness: 0.25 }, 2],
    [{ kind: 'gamma', burstiness: 4 }, 0.5],
  ])('%j has the rate asked for, and gaps that vary by %d of it', (pattern, variation) => {
    const found = gaps(times(pattern));
    expect(found.mean).toBeGreaterThan(19.2);
    expect(found.mean).toBeLessThan(20.8);
    expect(found.variation).toBeGreaterThanOrEqual(variation * 0.95 - 1e-9);
    expect(found.variation).toBeLessThanOrEqual(variation * 1.05 + 1e-9);
  });

  it('is the same for the same seed, in order and within the time', () => {
    const first = times({ kind: 'poisson' });
    expect(times({ kind: 'poisson' })).toEqual(first);
    expect(times({ kind: 'poisson' }, 2)).not.toEqual(first);
    expect(first.toSorted((a, b) => a - b)).toEqual(first);
    expect(first.at(-1)).toBeLessThanOrEqual(endMs);
  });
});

describe('readTrace', () => {
  const traceOf = async (text: string) => {
    const file = join(await temporaryFolder(), 'trace');
    await writeFile(file, text);
    return file;
  };

  it('takes seconds, and JSON lines with milliseconds, from the first arrival on', async () => {
    expect(readTrace(await traceOf('# seconds\n10\n10.5\n\n12\n'))).toEqual([0, 500, 2000]);
    expect(readTrace(await traceOf('{"timestamp": 700, "input_length": 5}\n{"timestamp": 1000}\n'))).toEqual([
      0, 300,
    ]);
  });

  it.each([
    ['1\nsoon\n', /line 2 of .* is neither a number of seconds nor JSON/],
    ['2\n1\n', /arrival 2 of .* is before the one above it/],
    ['\n', /holds no arrivals/],
  ])('refuses %j', async (text, message) => {
    const file = await traceOf(text);
    expect(() => readTrace(file)).toThrow(message);
  });
});
