import type { Logger } from 'pino';
import { type OtlpSpan, resourceSpans } from './otlp-span.ts';

const limits = {
  /** Maximum spans in one batch, and maximum spans held; further ones are dropped. */
  batch: 512,
  held: 4096,
  /** Milliseconds until held spans are sent, and maximum milliseconds for sending. */
  delayMs: 2000,
  sendMs: 5000,
  /** Minimum milliseconds between two logged failures. */
  complainMs: 60_000,
};

/**
 * Sends spans to a collector as OTLP over HTTP, in JSON (opentelemetry.io/docs/specs/otlp): in batches, in the
 * background, with a bounded number of spans held. Spans that the collector does not accept are lost.
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

  /** Resolves when the held spans have been sent or have failed. */
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
