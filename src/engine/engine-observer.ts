import type { EndEvent, GenerationRequest } from './generation.ts';
import type { StepReport } from './messages.ts';

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
