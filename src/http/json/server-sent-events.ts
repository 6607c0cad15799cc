import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** How long a client may be behind before the buffer limit applies: reading a burst takes time. */
const patienceMs = 1000;

/** An event: one line of JSON, with a name in APIs that name their events. */
export interface ServerSentEvent {
  data: string;
  name?: string;
}

export interface EventsReader {
  /** Aborted when the client leaves. Nothing is written after that. */
  gone: AbortSignal;
  /** Maximum bytes that may wait for the client to read them. */
  bufferLimit: number;
  /** Events this soon after a write go out together: the write is a third of an event's cost. */
  intervalMs: number;
  /** Called when the client reads too slowly; its connection is then closed. */
  onSlow(): void;
}

const written = ({ data, name }: ServerSentEvent) => `${name ? `event: ${name}\n` : ''}data: ${data}\n\n`;

/**
 * A response of server-sent events. Events wait for a slow client, up to a limit; the service never waits for the
 * client.
 */
export class ServerSentEvents {
  readonly #response: ServerResponse;
  readonly #reader: EventsReader;
  /** Since when data has been waiting for the client; null: none waits. */
  #behindSince: number | null = null;
  /** Events not written yet. */
  #held = '';
  #wroteAt = Number.NEGATIVE_INFINITY;

  constructor(response: ServerResponse, headers: OutgoingHttpHeaders, reader: EventsReader) {
    this.#response = response;
    this.#reader = reader;
    if (reader.gone.aborted) return;
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // Otherwise nginx keeps the events until its buffer is full.
      'x-accel-buffering': 'no',
    });
  }

  send(event: ServerSentEvent): void {
    const isScheduled = this.#held !== '';
    this.#held += written(event);
    if (isScheduled) return;
    const pause = this.#wroteAt + this.#reader.intervalMs - performance.now();
    if (pause <= 0) this.#write();
    else setTimeout(() => this.#write(), Math.ceil(pause));
  }

  /** Ends the stream with these events. */
  end(last: readonly ServerSentEvent[]): void {
    if (!this.#reader.gone.aborted) this.#response.end(this.#take() + last.map(written).join(''));
  }

  #write(): void {
    const events = this.#take();
    if (events === '' || this.#reader.gone.aborted) return;
    this.#wroteAt = performance.now();
    if (!this.#response.write(events)) this.#checkPace();
  }

  #take(): string {
    const events = this.#held;
    this.#held = '';
    return events;
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
