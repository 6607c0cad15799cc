import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';

/** How often a leaving server looks whether clients have used their connections once more, or have their answers. */
const lookEveryMs = 20;

/**
 * The connections of a server that will stop. Clients keep connections and ask on them again without asking a load
 * balancer: a server that refused or reset those requests would fail clients that did nothing wrong.
 */
export class Connections {
  /** Without a request in progress. */
  readonly #idle = new Set<Socket>();
  /** Had a request. Node's closeIdleConnections skips the others, which clients open in advance. */
  readonly #used = new WeakSet<Socket>();
  /** Opened after the server began to leave. */
  readonly #late = new WeakSet<Socket>();
  /** With a request in progress that came in time. */
  readonly #busy = new Set<Socket>();
  #isLeaving = false;

  constructor(server: Server) {
    server.on('connection', (socket) => {
      this.#idle.add(socket);
      if (this.#isLeaving) this.#late.add(socket);
      socket.once('close', () => {
        this.#idle.delete(socket);
        this.#busy.delete(socket);
      });
    });
    server.prependListener('request', ({ socket }, response) => {
      this.#idle.delete(socket);
      this.#used.add(socket);
      if (!this.#late.has(socket)) this.#busy.add(socket);
      if (this.#isLeaving) response.setHeader('connection', 'close');
      response.once('close', () => {
        this.#busy.delete(socket);
        if (socket.destroyed) return;
        this.#idle.add(socket);
        if (this.#isLeaving) socket.end();
      });
    });
  }

  /** Whether it was opened after the server began to leave. */
  isLate(socket: Socket): boolean {
    return this.#late.has(socket);
  }

  /** Ends each connection with its next answer. Closes those on which nobody asks within the time. */
  async leave(withinMs: number): Promise<void> {
    this.#isLeaving = true;
    const kept = () => [...this.#idle].filter((socket) => this.#used.has(socket));
    const deadline = performance.now() + withinMs;
    while (kept().length > 0 && performance.now() < deadline) await setTimeout(lookEveryMs);
    for (const socket of kept()) socket.destroy();
  }

  /** Waits for the answers to every request that came in time. */
  async answered(withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (this.#busy.size > 0 && performance.now() < deadline) await setTimeout(lookEveryMs);
  }

  closeIdle(): void {
    for (const socket of this.#idle) socket.destroy();
  }
}
