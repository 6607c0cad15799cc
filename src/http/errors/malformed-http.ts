import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ConnectionError } from 'fastify';
import type { ServerDependencies } from '../server-dependencies.ts';
import { errorBody } from './error-response.ts';
import { invalidRequest } from './invalid-request.ts';

const statuses: Record<string, number> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 };
const reasons: Record<number, string> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
};

/** How long a client may take to read its refusal and close the connection before the service does. */
const closingMs = 1000;

/** A socket with Node's field for the response in progress. */
type ServerSocket = Socket & { _httpMessage?: ServerResponse | null };

/**
 * Answers bytes that are not an HTTP request, headers that are too large and requests that arrive too slowly. Logs and
 * counts them like requests.
 */
export function refuseMalformedHttp({ logger, metrics }: Pick<ServerDependencies, 'logger' | 'metrics'>) {
  return ({ code }: ConnectionError, socket: ServerSocket): void => {
    const isAnswering = socket._httpMessage?.headersSent ?? false;
    if (code === 'ECONNRESET' || !socket.writable || isAnswering) {
      socket.destroy();
      return;
    }
    const status = statuses[code] ?? 400;
    const requestId = randomUUID();
    const error = invalidRequest(null, `The service could not read the HTTP request: ${reasons[status]}.`);
    metrics.answered({ model: null, route: 'none', status, client: '' });
    logger.info({ requestId, status, reason: code, errorCode: error.code }, 'no HTTP request');
    const body = JSON.stringify(errorBody(error));
    const headers = [
      `HTTP/1.1 ${status} ${reasons[status]}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-Id: ${requestId}`,
      'Connection: close',
    ];
    socket.end(`${headers.join('\r\n')}\r\n\r\n${body}`);
    // Otherwise a client that never closes its half of the connection keeps the descriptor in use.
    setTimeout(() => socket.destroy(), closingMs).unref();
  };
}
