import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

export interface NeighbourOptions {
  url: string;
  key: string | null;
}

/** A client's measurements, in milliseconds. */
export interface Observations {
  /** Times between two pieces of text of a stream. */
  gapsMs: number[];
  firstTokenMs: number[];
  /** Times of whole answers to small requests of several kinds. */
  smallMs: number[];
  /** Times of answers from /health/live. */
  liveMs: number[];
  /** Descriptions of everything that failed. */
  failures: string[];
}

export const observations = (): Observations => ({
  gapsMs: [],
  firstTokenMs: [],
  smallMs: [],
  liveMs: [],
  failures: [],
});

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/**
 * A well-behaved client next to attackers: continuous streams, small requests of several kinds, and an orchestrator's
 * probe.
 */
export class Neighbour {
  readonly #worker: Worker;

  private constructor(options: NeighbourOptions) {
    this.#worker = new Worker(new URL('./neighbour-worker.ts', import.meta.url), { workerData: options });
  }

  static start(options: NeighbourOptions): Neighbour {
    return new Neighbour(options);
  }

  /** Its measurements since the last call. */
  async observed(): Promise<Observations> {
    this.#worker.postMessage('observed');
    const [seen] = await once(this.#worker, 'message');
    return seen;
  }

  /** Its measurements over the next `milliseconds`, or longer until there are `gaps` gaps. */
  async watch(milliseconds: number, gaps = 0): Promise<Observations> {
    await this.observed();
    await setTimeout(milliseconds);
    const seen = await this.observed();
    while (seen.gapsMs.length < gaps) {
      await setTimeout(100);
      const next = await this.observed();
      if (next.failures.length > 0)
        throw new Error(`the neighbour fails without an attack: ${next.failures[0]}`);
      seen.gapsMs.push(...next.gapsMs);
    }
    return seen;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
