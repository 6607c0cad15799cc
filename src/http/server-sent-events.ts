import { once } from 'node:events';
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** A response of server-sent events, each one a line of JSON. */
export class ServerSentEvents {
  readonly #response: ServerResponse;
  readonly #gone: AbortSignal;

  /** @param gone aborted when the client leaves, after which nothing is written and nothing waited for */
  constructor(response: ServerResponse, headers: OutgoingHttpHeaders, gone: AbortSignal) {
    this.#response = response;
    this.#gone = gone;
    if (gone.aborted) return;
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // Else nginx would keep the events until its buffer is full.
      'x-accel-buffering': 'no',
    });
  }

  /** Resolves when the client has room for more. */
  async send(json: string): Promise<void> {
    await this.#write(`data: ${json}\n\n`);
  }

  /** Ends as OpenAI's streams do. */
  async end(): Promise<void> {
    await this.#write('data: [DONE]\n\n');
    this.#response.end();
  }

  async #write(text: string): Promise<void> {
    if (this.#gone.aborted || this.#response.write(text)) return;
    try {
      await once(this.#response, 'drain', { signal: this.#gone });
    } catch (error) {
      if (!this.#gone.aborted) throw error;
    }
  }
}
