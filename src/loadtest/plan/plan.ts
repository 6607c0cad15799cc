import type { ArrivalPattern } from '../load/arrivals.ts';
import type { NextPrompt } from '../load/prompts.ts';
import type { RequestOptions, Target } from '../load/target.ts';
import type { Judgement, Load } from '../stage.ts';

/** `turns`: each load on one target after another; `interleaved`: on all targets at the same time. */
type Order = 'turns' | 'interleaved';

/** A stage starts new requests for this long, or up to this many. */
export interface Extent {
  durationMs: number;
  requests: number;
}

/** All settings of a load test. */
export interface Plan {
  targets: readonly Target[];
  request: RequestOptions;
  /** Arrivals in an open loop: a pattern for each load's rate, or the times of a trace in milliseconds. */
  arrivals: ArrivalPattern | { kind: 'trace'; times: readonly number[] };
  /** Loads of the stages; in a sweep, of the first stages. */
  loads: readonly Load[];
  /** Ratio of each sweep stage's rate to the previous one's; null: no sweep. */
  sweepFactor: number | null;
  order: Order;
  extent: Extent;
  warmUpRequests: number;
  seed: number;
  /** The same seed gives the same prompts. */
  promptsOf: (seed: number) => NextPrompt;
  judgement: Judgement;
}

/** A load in words: `8/s`, `16 clients`, `trace`. */
export function describeLoad(load: Load): string {
  if (load.kind === 'closed') return `${load.concurrency} client${load.concurrency === 1 ? '' : 's'}`;
  return load.rate === null ? 'trace' : `${Number(load.rate.toPrecision(3))}/s`;
}
