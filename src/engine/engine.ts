import type { GenerationEvent, GenerationRequest } from './generation.ts';

/** What the http layer sees of the engine. */
export interface Engine {
  /**
   * Admits all requests or none, in one synchronous step, and returns their events, interleaved, each request's
   * in order, until every one of them has ended. Aborting `signal` (or leaving the loop early) aborts what still runs.
   * @throws ServiceError `queue_full`, `not_ready`, `shutting_down`, before anything is queued
   */
  generate(requests: readonly GenerationRequest[], signal: AbortSignal): AsyncIterable<GenerationEvent>;

  /** Requests that wait for a slot and those that hold one. */
  load(): { waiting: number; running: number; queuedTokens: number };
}
