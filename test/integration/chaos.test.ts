import { expect, it } from 'vitest';
import { Chaos } from '../support/chaos.ts';

it('loses no request, mixes up no answers and leaks no slot, whatever happens under load', async () => {
  const { sequencesLeft, counts } = await Chaos.run(7, [
    'clients leave',
    'engine killed',
    'half-open sockets',
    'engine killed',
    'rolling restart',
    'clients leave',
  ]);
  expect(sequencesLeft).toBe(0);
  expect(counts.get('complete')).toBeGreaterThan(10);
  expect(counts.get('exit code 0')).toBe(2);
}, 120_000);
