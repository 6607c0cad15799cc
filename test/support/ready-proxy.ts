import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

const pollMs = 50;

/**
 * A load balancer for rolling restarts: it polls readiness, sends requests to ready backends, and tries the next one if
 * a connection or the request is refused. It never repeats a request that is already running.
 */
export class ReadyProxy {
  readonly #server: Server;
  readonly #ready = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  #turn = 0;

  /** @param backends returns the backends' addresses, null for one that is down; called at every poll */
  private constructor(backends: () => readonly (string | null)[]) {
    this.#server = createServer((incoming, outgoing) => void this.#forward(incoming, outgoing));
    this.#timer = setInterval(() => this.#poll(backends()), pollMs);
  }

  static async open(backends: () => readonly (string | null)[]): Promise<ReadyProxy> {
    const proxy = new ReadyProxy(backends);
    await once(proxy.#server.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #poll(backends: readonly (string | null)[]): void {
    for (const url of this.#ready) if (!backends.includes(url)) this.#ready.delete(url);
    for (const url of backends) {
      if (url === null) continue;
      fetch(`${url}/health/ready`).then(
        ({ ok }) => (ok && backends.includes(url) ? this.#ready.add(url) : this.#ready.delete(url)),
        () => this.#ready.delete(url),
      );
    }
  }

  async #forward(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await buffer(incoming).catch(() => null);
    if (body === null) return;
    this.#turn += 1;
    const ready = [...this.#ready];
    const order = ready.map((_, i) => ready[(i + this.#turn) % ready.length]!);
    for (const [i, url] of order.entries()) {
      if (await this.#tryOne(url, incoming, body, outgoing, i === order.length - 1)) return;
    }
    outgoing.writeHead(503, { 'retry-after': '1', 'content-type': 'application/json' });
    outgoing.end(JSON.stringify({ error: { code: 'not_ready' } }));
  }

  /** @returns false if another backend may be tried */
  #tryOne(
    url: string,
    incoming: IncomingMessage,
    body: Buffer,
    outgoing: ServerResponse,
    isLast: boolean,
  ): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const { method, url: path, headers } = incoming;
    const upstream = request(url + path, {
      method,
      headers: { ...headers, connection: 'close' },
      agent: false,
    });
    outgoing.once('close', () => upstream.destroy());
    upstream.once('response', (answer) => {
      if (answer.statusCode === 503 && !isLast) {
        answer.resume();
        resolve(false);
        return;
      }
      outgoing.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(outgoing);
      answer.once('error', () => outgoing.destroy());
      resolve(true);
    });
    upstream.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNREFUSED') outgoing.destroy();
      resolve(error.code !== 'ECONNREFUSED');
    });
    upstream.end(body);
    return promise;
  }
}
