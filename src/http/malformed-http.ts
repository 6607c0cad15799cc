import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { ConnectionError } from 'fastify';
import { errorBody } from './error-response.ts';
import { invalidRequest } from './invalid-request.ts';
import type { ServerDependencies } from './server-dependencies.ts';

const statuses: Record<string, number> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 };
const reasons: Record<number, string> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
};

/**
 * Answers bytes that are no HTTP request, headers that are too large and requests that take too long to arrive; logs and
 * counts them like requests.
 */
export function refuseMalformedHttp({ logger, metrics }: Pick<ServerDependencies, 'logger' | 'metrics'>) {
  return ({ code }: ConnectionError, socket: Socket): void => {
    if (code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const status = statuses[code] ?? 400;
    const requestId = randomUUID();
    const error = invalidRequest(null, `No readable HTTP request: ${reasons[status]}.`);
    metrics.responded('', 'none', status);
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
  };
}
