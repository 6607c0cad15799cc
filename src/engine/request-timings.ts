import type { GenerationRequest, Timings } from './generation.ts';

/** Collects the moments of one request as it goes; each counts the first time only. */
export class RequestTimings {
  generatedTokens = 0;
  cachedTokens = 0;
  readonly #request: Pick<GenerationRequest, 'arrivedAt' | 'promptTokens'>;
  #startedAt: number | null = null;
  #prefilledAt: number | null = null;
  #firstTokenAt: number | null = null;

  constructor(request: Pick<GenerationRequest, 'arrivedAt' | 'promptTokens'>) {
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
      promptTokens: this.#request.promptTokens.length,
      cachedTokens: this.cachedTokens,
      generatedTokens: this.generatedTokens,
    };
  }
}
