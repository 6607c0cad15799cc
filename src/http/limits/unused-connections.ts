import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Connections that no request is being answered on. Node's own closeIdleConnections passes over those that never sent
 * one, which HTTP clients open ahead of need and would hold the stop of a server up.
 */
export class UnusedConnections {
  readonly #unused = new Set<Socket>();

  constructor(server: Server) {
    server.on('connection', (socket) => {
      this.#unused.add(socket);
      socket.once('close', () => this.#unused.delete(socket));
    });
    server.on('request', ({ socket }, response) => {
      this.#unused.delete(socket);
      response.once('close', () => {
        if (!socket.destroyed) this.#unused.add(socket);
      });
    });
  }

  close(): void {
    for (const socket of this.#unused) socket.destroy();
  }
}
