import type { AbortStage, EndEvent, EngineRequest, GenerationEvent } from './generation.ts';

/**
 * The life of one admitted sequence: its request and what its events have said so far. The main thread keeps it;
 * metrics, answers, log lines and spans read it. Times are milliseconds on the shared clock; null: not reached.
 */
export class SequenceLife {
  readonly request: EngineRequest;
  /** When it left the queue: it got a slot, or its step began if it needs none. */
  startedAt: number | null = null;
  /** Prompt tokens taken over from another request. */
  cachedTokens = 0;
  /** When all tokens given to the model were computed. */
  prefilledAt: number | null = null;
  firstTokenAt: number | null = null;
  lastTokenAt: number | null = null;
  generatedTokens = 0;
  /** Tokens that were guessed and checked, and those of them that were right. */
  guessedTokens = 0;
  rightGuesses = 0;
  end: EndEvent | null = null;

  constructor(request: EngineRequest) {
    this.request = request;
  }

  /** Where it is, or was when it ended. */
  get stage(): AbortStage {
    if (this.startedAt === null) return 'queued';
    return this.prefilledAt === null ? 'prefill' : 'decode';
  }

  /** Records its next event. Nothing else changes these fields. */
  add(event: GenerationEvent): void {
    switch (event.type) {
      case 'started':
        this.startedAt = event.at;
        break;
      case 'reused':
        this.cachedTokens = event.tokens;
        break;
      case 'scored':
        break;
      case 'prefilled':
        this.prefilledAt = event.at;
        break;
      case 'guessed':
        this.guessedTokens += event.tokens;
        this.rightGuesses += event.right;
        break;
      case 'tokens':
        this.firstTokenAt ??= event.at;
        this.lastTokenAt = event.at;
        this.generatedTokens += event.tokens.length;
        break;
      default:
        this.end = event;
    }
  }
}
