import { type GenerationRequest, promptLength, type Timings } from './generation.ts';

type Timed = Pick<GenerationRequest, 'arrivedAt' | 'promptTokens' | 'completionPrefix'>;

/** Collects the moments of one request as it goes; each counts the first time only. */
export class RequestTimings {
  generatedTokens = 0;
  cachedTokens = 0;
  readonly #request: Timed;
  #startedAt: number | null = null;
  #prefilledAt: number | null = null;
  #firstTokenAt: number | null = null;

  constructor(request: Timed) {
    this.#request = request;
  }

  get hasStarted(): boolean {
    return this.#startedAt !== null;
  }

  get hasPrefilled(): boolean {
    return this.#prefilledAt !== null;
  }

  started(at: number): void {
    this.#startedAt ??= at;
  }

  prefilled(at: number): void {
    this.#prefilledAt ??= at;
  }

  generated(count: number, at: number): void {
    this.#firstTokenAt ??= at;
    this.generatedTokens += count;
  }

  finished(at: number): Timings {
    return {
      arrivedAt: this.#request.arrivedAt,
      startedAt: this.#startedAt,
      prefilledAt: this.#prefilledAt,
      firstTokenAt: this.#firstTokenAt,
      finishedAt: at,
      promptTokens: promptLength(this.#request),
      cachedTokens: this.cachedTokens,
      generatedTokens: this.generatedTokens,
    };
  }
}
