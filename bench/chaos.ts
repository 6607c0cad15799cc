import { Chaos, type Disaster } from '../test/support/chaos.ts';
import type { BenchResult } from './result.ts';
import { numberAsked } from './support/number-asked.ts';

const seed = 1;
/** Only one in ten is a rolling restart, because it takes the longest. */
const cycle: readonly Disaster[] = [
  'clients leave',
  'engine killed',
  'half-open sockets',
  'clients leave',
  'engine killed',
  'clients leave',
  'half-open sockets',
  'engine killed',
  'clients leave',
  'rolling restart',
];

/** Causes `--rounds` disasters at random moments under load: counts the clients' outcomes and leaked sequences. */
export async function run(): Promise<BenchResult> {
  const rounds = numberAsked('rounds', 100);
  const disasters = Array.from({ length: rounds }, (_, round) => cycle[round % cycle.length]!);
  const { sequencesLeft, counts } = await Chaos.run(seed, disasters);
  const rows = [...counts].map(([what, count]) => ({ what, count }));
  return { name: 'chaos', rows, ratios: { rounds, 'sequences-left': sequencesLeft } };
}
