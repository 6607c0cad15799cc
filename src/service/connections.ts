import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';

/** How often a leaving server looks whether clients have used their connections once more, or have their answers. */
const lookEveryMs = 20;

/**
 * The connections of a server that will stop. Clients keep connections and ask on them again without asking a load
 * balancer: a server that refused or reset those requests would fail clients that did nothing wrong.
 */
export class Connections {
  /** Without a request in progress, and since when. */
  readonly #idle = new Map<Socket, number>();
  /** Had a request. Node's closeIdleConnections skips the others, which clients open in advance. */
  readonly #used = new WeakSet<Socket>();
  /** Opened after the server began to leave. */
  readonly #late = new WeakSet<Socket>();
  /** The answers in progress on each: a client may send the next request before it has the answer. */
  readonly #open = new Map<Socket, Set<ServerResponse>>();
  #isLeaving = false;

  constructor(server: Server) {
    server.on('connection', (socket) => {
      this.#idle.set(socket, performance.now());
      if (this.#isLeaving) this.#late.add(socket);
      socket.once('close', () => {
        this.#idle.delete(socket);
        this.#open.delete(socket);
      });
    });
    server.prependListener('request', ({ socket }, response) => {
      this.#idle.delete(socket);
      this.#used.add(socket);
      const open = this.#open.get(socket) ?? new Set();
      this.#open.set(socket, open.add(response));
      if (this.#isLeaving) endWithLast(open);
      response.once('close', () => {
        open.delete(response);
        if (socket.destroyed || open.size > 0) return;
        this.#open.delete(socket);
        this.#idle.set(socket, performance.now());
      });
    });
  }

  /** Whether it was opened after the server began to leave. */
  isLate(socket: Socket): boolean {
    return this.#late.has(socket);
  }

  /**
   * Waits for the answers to all requests that came in time, and for the next request on each connection that its client
   * keeps. Ends connections with their next answer, which says so.
   * @param patienceMs how long a client may wait before it asks again
   */
  async leave(patienceMs: number, withinMs: number): Promise<void> {
    this.#isLeaving = true;
    for (const open of this.#open.values()) endWithLast(open);
    const since = performance.now();
    for (;;) {
      const now = performance.now();
      const kept = [...this.#idle].filter(([socket]) => this.#used.has(socket));
      for (const [socket, idleSince] of kept)
        if (now - Math.max(since, idleSince) >= patienceMs) socket.destroy();
      const isDone = kept.length === 0 && ![...this.#open.keys()].some((socket) => !this.#late.has(socket));
      if (isDone || now - since >= withinMs) return;
      await setTimeout(lookEveryMs);
    }
  }

  closeIdle(): void {
    for (const socket of this.#idle.keys()) socket.destroy();
  }
}

/** Says in the last of a connection's answers that it is the last; Node would end the connection with any that says so. */
function endWithLast(open: ReadonlySet<ServerResponse>): void {
  const waiting = [...open].filter(({ headersSent }) => !headersSent);
  for (const response of waiting) response.removeHeader('connection');
  waiting.at(-1)?.setHeader('connection', 'close');
}
