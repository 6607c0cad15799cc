import type { Logger } from 'pino';
import { type OtlpSpan, resourceSpans } from './otlp-span.ts';

const limits = {
  /** Spans sent together at most, and held at most; those beyond are dropped. */
  batch: 512,
  held: 4096,
  /** Milliseconds until what is held is sent, and that sending may take. */
  delayMs: 2000,
  sendMs: 5000,
  /** Failures are logged no more often. */
  complainMs: 60_000,
};

/**
 * Sends spans to a collector as OTLP over HTTP, in JSON (opentelemetry.io/docs/specs/otlp): in batches, beside the
 * requests, and never more than a bounded number of them. What a collector does not take is lost.
 */
export class OtlpExporter {
  readonly #url: string;
  readonly #version: string;
  readonly #logger: Logger;
  #held: OtlpSpan[] = [];
  #timer: NodeJS.Timeout | null = null;
  #sending: Promise<void> = Promise.resolve();
  #complainedAt = Number.NEGATIVE_INFINITY;

  /** @param endpoint the collector's base URL. @param version of this package */
  constructor(endpoint: string, version: string, logger: Logger) {
    this.#url = `${endpoint.replace(/\/+$/, '')}/v1/traces`;
    this.#version = version;
    this.#logger = logger;
  }

  add(spans: readonly OtlpSpan[]): void {
    if (this.#held.length + spans.length > limits.held) return;
    this.#held.push(...spans);
    this.#timer ??= setTimeout(() => this.flush(), limits.delayMs).unref();
  }

  /** Resolves when what is held was sent, or could not be. */
  flush(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#sending = this.#sending.then(() => this.#sendAll());
    return this.#sending;
  }

  async #sendAll(): Promise<void> {
    while (this.#held.length > 0) {
      const batch = this.#held.splice(0, limits.batch);
      try {
        await this.#send(batch);
      } catch (error) {
        this.#complain(batch.length, (error as Error).message);
      }
    }
  }

  async #send(spans: readonly OtlpSpan[]): Promise<void> {
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(resourceSpans(spans, this.#version)),
      signal: AbortSignal.timeout(limits.sendMs),
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`the collector answered ${response.status}`);
  }

  #complain(spans: number, reason: string): void {
    if (performance.now() - this.#complainedAt < limits.complainMs) return;
    this.#complainedAt = performance.now();
    this.#logger.warn({ url: this.#url, spans, reason }, 'traces could not be sent');
  }
}
