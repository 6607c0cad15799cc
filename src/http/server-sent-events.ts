import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** How long a client may be behind before more than the limit counts: what comes at once takes its time. */
const patienceMs = 1000;

export interface EventsReader {
  /** Aborted when the client leaves, after which nothing is written. */
  gone: AbortSignal;
  /** Most bytes that may wait for the client to read them. */
  bufferLimit: number;
  /** Is told that the client did not; its connection is closed. */
  onSlow(): void;
}

/**
 * A response of server-sent events, each one a line of JSON. What the client is slow to read waits for it, up to a
 * limit; nobody waits for the client.
 */
export class ServerSentEvents {
  readonly #response: ServerResponse;
  readonly #reader: EventsReader;
  /** Since when something has been waiting for the client; null: nothing is. */
  #behindSince: number | null = null;

  constructor(response: ServerResponse, headers: OutgoingHttpHeaders, reader: EventsReader) {
    this.#response = response;
    this.#reader = reader;
    if (reader.gone.aborted) return;
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // Else nginx would keep the events until its buffer is full.
      'x-accel-buffering': 'no',
    });
  }

  send(json: string): void {
    if (this.#reader.gone.aborted) return;
    if (!this.#response.write(`data: ${json}\n\n`)) this.#checkPace();
  }

  /** Ends as OpenAI's streams do. */
  end(): void {
    if (!this.#reader.gone.aborted) this.#response.end('data: [DONE]\n\n');
  }

  #checkPace(): void {
    const now = performance.now();
    if (this.#behindSince === null) {
      this.#behindSince = now;
      this.#response.once('drain', () => {
        this.#behindSince = null;
      });
    }
    if (this.#response.writableLength <= this.#reader.bufferLimit) return;
    if (now - this.#behindSince < patienceMs) return;
    this.#reader.onSlow();
    this.#response.destroy();
  }
}
