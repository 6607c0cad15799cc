import type { EndEvent, GenerationEvent, GenerationRequest } from './generation.ts';
import type { StepReport } from './messages.ts';

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

/** What the engine client reports of its work; turned into metrics elsewhere. Moments are on the shared clock, ms. */
export interface EngineObserver {
  admitted(request: GenerationRequest): void;
  /** `count` sequences of one call were refused together, before anything was queued. */
  rejected(model: string, reason: string, count: number): void;
  started(request: GenerationRequest, at: number): void;
  /** `count` tokens of one request came out of one step. */
  token(request: GenerationRequest, at: number, count: number): void;
  /** The engine's worker has died and another takes its place. */
  restarted(): void;
  stepped(step: StepReport): void;
  /** Exactly once per admitted request. */
  ended(request: GenerationRequest, event: EndEvent): void;
}
