import type { Socket } from 'node:net';
import type { ConnectionError } from 'fastify';
import { errorBody } from './error-response.ts';
import { invalidRequest } from './invalid-request.ts';

/** Answers bytes that are no HTTP request, headers that are too large and requests that take too long to arrive. */
export function refuseMalformedHttp(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const statusLine =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  const body = JSON.stringify(
    errorBody(invalidRequest(null, `No readable HTTP request: ${statusLine.slice(4)}.`)),
  );
  socket.end(
    `HTTP/1.1 ${statusLine}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
