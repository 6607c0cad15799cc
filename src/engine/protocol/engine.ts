import type { EngineRequest, GenerationEvent } from './generation.ts';
import type { StepReport } from './messages.ts';
import type { SequenceLife } from './sequence-life.ts';

/** The requests of one call: their events, interleaved, until all have ended; the events of each stay in order. */
export interface Generation extends AsyncIterable<GenerationEvent> {
  /** In the order of the requests. An event is in its life before the consumer gets it. */
  readonly lives: readonly SequenceLife[];
}

/** The engine as the HTTP layer sees it. */
export interface Engine {
  /**
   * Admits all requests, for text or for embeddings, or none, in one synchronous step. Aborting `signal` or leaving the loop over the events early
   * aborts what still runs.
   * @throws ServiceError `queue_full`, `not_ready`, `shutting_down`, before anything is queued
   */
  generate(requests: readonly EngineRequest[], signal: AbortSignal): Generation;

  /** Requests that wait, requests that hold one, and prompt tokens that wait. */
  load(): { waiting: number; running: number; queuedTokens: number };
}

/** Receives what the engine client does, for metrics. */
export interface EngineObserver {
  admitted(sequence: SequenceLife): void;
  /** The engine refused all `count` sequences of one call before it queued anything. */
  rejected(model: string, reason: string, count: number): void;
  /** Each event of an admitted sequence, just before the event is added to its life. Exactly one is its end. */
  happened(sequence: SequenceLife, event: GenerationEvent): void;
  /** The engine's worker died and a new one replaces it. */
  restarted(): void;
  stepped(step: StepReport): void;
}
