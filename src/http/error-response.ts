import type { FastifyError } from 'fastify';
import { errorCatalogue, ServiceError } from '../errors.ts';
import { invalidRequest } from './invalid-request.ts';
import { validationError } from './validation-error.ts';

/** Bytes of a whole error body: a small bad request must not make a large answer. */
const bodyLimitBytes = 2048;

/** OpenAI's error body, its message cut where the whole would be too large. */
export function errorBody(error: ServiceError): ReturnType<ServiceError['toBody']> {
  const body = error.toBody();
  if (body.error.param) body.error.param = body.error.param.slice(0, 100);
  while (Buffer.byteLength(JSON.stringify(body)) > bodyLimitBytes) {
    body.error.message = `${body.error.message.slice(0, body.error.message.length >> 1)}…`;
  }
  return body;
}

const isFastifyError = (error: unknown): error is FastifyError =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number';

/** What a client is told of an error: its own fault as it is, a fault of the service only that it is one. */
export function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  if (isFastifyError(error)) {
    if (error.validation) return validationError(error);
    if (error.statusCode === 413)
      return new ServiceError('payload_too_large', 'The request body is too large.');
    if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
      return invalidRequest(null, 'The body must be JSON: send the header Content-Type: application/json.');
    }
    if (error.statusCode! < 500) return invalidRequest(null, `The request cannot be read: ${error.message}`);
  }
  return new ServiceError(
    'internal_error',
    'A fault of the service; its log has more under this X-Request-Id.',
    {
      cause: error,
    },
  );
}

/** Seconds, for codes that need the header even where the cause names none. */
export const retryAfterSeconds = (error: ServiceError): number | null => {
  const { status } = errorCatalogue[error.code];
  return error.retryAfterSeconds ?? (status === 429 || status === 503 ? 1 : null);
};
