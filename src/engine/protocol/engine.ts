import type { EndEvent, GenerationEvent, GenerationRequest } from './generation.ts';
import type { StepReport } from './messages.ts';

/** The engine as the HTTP layer sees it. */
export interface Engine {
  /**
   * Admits all requests or none, in one synchronous step. Returns their events until every request has ended; requests
   * interleave, the events of each stay in order. Aborting `signal` or leaving the loop early aborts what still runs.
   * @throws ServiceError `queue_full`, `not_ready`, `shutting_down`, before anything is queued
   */
  generate(requests: readonly GenerationRequest[], signal: AbortSignal): AsyncIterable<GenerationEvent>;

  /** Requests that wait for a slot, requests that hold one, and prompt tokens that wait. */
  load(): { waiting: number; running: number; queuedTokens: number };
}

/** Receives what the engine client does, for metrics. Times are milliseconds on the shared clock. */
export interface EngineObserver {
  admitted(request: GenerationRequest): void;
  /** The engine refused all `count` sequences of one call before it queued anything. */
  rejected(model: string, reason: string, count: number): void;
  started(request: GenerationRequest, at: number): void;
  /** One step produced `count` tokens of one request. */
  token(request: GenerationRequest, at: number, count: number): void;
  /** The engine's worker died and a new one replaces it. */
  restarted(): void;
  stepped(step: StepReport): void;
  /** Exactly once per admitted request. */
  ended(request: GenerationRequest, event: EndEvent): void;
}
