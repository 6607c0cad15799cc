import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Connections without a request in progress. Node's closeIdleConnections skips connections that never sent a request.
 * HTTP clients open those in advance, and they would delay the server's stop.
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
