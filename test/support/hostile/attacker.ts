import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';

/** How an attacker's request ended: a status, or a description of what happened instead. */
export type Outcome = string;

interface AskOptions {
  method?: 'POST' | 'GET';
  headers?: Record<string, string>;
  /** Disconnects this long after the request is sent. */
  leaveAfterMs?: number;
}

/** A hostile client. It accepts every answer, and reports what is wrong with one that breaks the API's contract. */
export class Attacker {
  readonly url: string;
  readonly #key: string | null;
  readonly #withinMs: number;
  static #count = 0;

  /** @param withinMs an answer that takes longer counts as missing */
  constructor(url: string, key: string | null, withinMs = 10_000) {
    this.url = url;
    this.#key = key;
    this.#withinMs = withinMs;
  }

  /** The header line for a hand-written request. */
  get authorization(): string {
    return this.#key === null ? '' : `Authorization: Bearer ${this.#key}\r\n`;
  }

  /** A number that no attacker got before, so that requests made from it are in no cache. */
  unique(): number {
    Attacker.#count += 1;
    return Attacker.#count;
  }

  /** @param body sent unchanged if it is a string or bytes, otherwise as JSON */
  async ask(path: string, body: unknown, options: AskOptions = {}): Promise<Outcome> {
    const { method = 'POST', headers = {}, leaveAfterMs } = options;
    const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const signals = [AbortSignal.timeout(this.#withinMs)];
    if (leaveAfterMs !== undefined) signals.push(AbortSignal.timeout(leaveAfterMs));
    const sending = request(this.url + path, {
      method,
      agent: false,
      signal: AbortSignal.any(signals),
      headers: {
        ...(method === 'POST' && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(bytes),
        }),
        ...(this.#key !== null && { authorization: `Bearer ${this.#key}` }),
        ...headers,
      },
    });
    try {
      sending.end(method === 'POST' ? bytes : undefined);
      const [response] = await once(sending, 'response');
      return outcomeOf(response.statusCode, response.headers['retry-after'], await text(response));
    } catch (error) {
      if (signals[0]!.aborted) return `no answer within ${this.#withinMs} ms`;
      if (signals[1]?.aborted) return 'left';
      return `connection ${(error as NodeJS.ErrnoException).code ?? error}`;
    }
  }

  /** Opens a raw connection and sends `bytes` on it. */
  async connect(bytes: string): Promise<Socket> {
    const { hostname, port } = new URL(this.url);
    const socket = connect(Number(port), hostname).on('error', () => {});
    await once(socket, 'connect');
    if (bytes !== '') socket.write(bytes);
    return socket;
  }

  /** Resolves when the service has closed the connection. */
  async closed(socket: Socket): Promise<Outcome> {
    const late = new AbortController();
    const outcome = await Promise.race([
      once(socket, 'close').then(() => 'closed'),
      setTimeout(this.#withinMs, `open after ${this.#withinMs} ms`, late),
    ]).finally(() => late.abort());
    socket.destroy();
    return outcome;
  }
}

function outcomeOf(status: number, retryAfter: string | undefined, body: string): Outcome {
  if (status < 400) return body.includes('"error":{') ? `${status} with an error` : String(status);
  if ((status === 429 || status === 503) && !/^\d+$/.test(retryAfter ?? ''))
    return `${status} without Retry-After`;
  try {
    const { error } = JSON.parse(body);
    if (error.code !== '' && error.message !== '') return String(status);
  } catch {}
  return `${status} without an error to act on`;
}
