import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';

/** How a request of an attacker ended: a status, or what happened instead of one. */
export type Outcome = string;

interface AskOptions {
  method?: 'POST' | 'GET';
  headers?: Record<string, string>;
  /** Goes away this long after the request is sent. */
  leaveAfterMs?: number;
}

/** A client that means harm. It takes every answer, and says what is wrong with one that breaks our contract. */
export class Attacker {
  readonly url: string;
  readonly #key: string | null;
  readonly #withinMs: number;
  static #count = 0;

  /** @param withinMs an answer that takes longer counts as none */
  constructor(url: string, key: string | null, withinMs = 10_000) {
    this.url = url;
    this.#key = key;
    this.#withinMs = withinMs;
  }

  /** As a header line of a request by hand. */
  get authorization(): string {
    return this.#key === null ? '' : `Authorization: Bearer ${this.#key}\r\n`;
  }

  /** A number no attacker got before: what is made of it is in no cache. */
  unique(): number {
    Attacker.#count += 1;
    return Attacker.#count;
  }

  /** @param body sent as it is if it is a text or bytes, else as JSON */
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

  /** A connection by hand, on which `bytes` were sent. */
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
