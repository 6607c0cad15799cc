import type { ArrivalPattern } from '../load/arrivals.ts';
import type { NextPrompt } from '../load/prompts.ts';
import type { RequestOptions, Target } from '../load/target.ts';
import type { Judgement, Load } from '../stage.ts';

/** `turns`: each load on one target after the other; `interleaved`: on all of them at the same time. */
type Order = 'turns' | 'interleaved';

/** Until when new requests are started: so long, or so many. */
export interface Extent {
  durationMs: number;
  requests: number;
}

/** Everything a load test is told. */
export interface Plan {
  targets: readonly Target[];
  request: RequestOptions;
  /** What comes in an open loop: a pattern for each load's rate, or the times of a trace in milliseconds. */
  arrivals: ArrivalPattern | { kind: 'trace'; times: readonly number[] };
  /** Loads of the stages; in a sweep the first of them. */
  loads: readonly Load[];
  /** How many times the rate of the last stage the next one has; null: the loads are what there is. */
  sweepFactor: number | null;
  order: Order;
  extent: Extent;
  warmUpRequests: number;
  seed: number;
  /** The same seed gives the same prompts. */
  promptsOf: (seed: number) => NextPrompt;
  judgement: Judgement;
}

/** A stage in words: `8 requests/s`, `16 clients`, `trace`. */
export function describeLoad(load: Load): string {
  if (load.kind === 'closed') return `${load.concurrency} client${load.concurrency === 1 ? '' : 's'}`;
  return load.rate === null ? 'trace' : `${Number(load.rate.toPrecision(3))}/s`;
}
