import type { FastifyError } from 'fastify';
import { errorCatalogue, ServiceError } from '../../errors.ts';
import { invalidRequest } from './invalid-request.ts';
import { validationError } from './validation-error.ts';

/** Maximum bytes of an error body: a small bad request must not cause a large answer. */
const bodyLimitBytes = 2048;

/** OpenAI's error body. Shortens the message if the body would be too large, but never leaves half a character. */
export function errorBody(error: ServiceError): ReturnType<ServiceError['toBody']> {
  const body = error.toBody();
  const { error: fault } = body;
  if (fault.param) fault.param = fault.param.slice(0, 100).toWellFormed();
  fault.message = fault.message.toWellFormed();
  while (Buffer.byteLength(JSON.stringify(body)) > bodyLimitBytes) {
    fault.message = `${fault.message.slice(0, fault.message.length >> 1).toWellFormed()}…`;
  }
  return body;
}

const isFastifyError = (error: unknown): error is FastifyError =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number';

/** The error for a request that Fastify refuses; null: the fault is not the client's. */
function refusedByFastify(error: FastifyError): ServiceError | null {
  if (error.validation) return validationError(error);
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ServiceError(
        'payload_too_large',
        'The request body is larger than the limit, ALTUP_BODY_LIMIT.',
      );
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new ServiceError(
        'unsupported_media_type',
        'The body must be JSON; send the header Content-Type: application/json.',
      );
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return invalidRequest(null, 'The length of the body differs from its Content-Length.');
    default:
      return error.statusCode! < 500
        ? invalidRequest(null, 'The service could not read the whole request.')
        : null;
  }
}

/** The error that the client gets: full details of its own fault, none of a fault of the service. */
export function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  const refusal = isFastifyError(error) ? refusedByFastify(error) : null;
  if (refusal) return refusal;
  return new ServiceError(
    'internal_error',
    'The service itself failed; its log has the details under this X-Request-Id.',
    {
      cause: error,
    },
  );
}

/** Seconds; 1 for statuses that need the header if the error names none; else null. */
export const retryAfterSeconds = (error: ServiceError): number | null => {
  const { status } = errorCatalogue[error.code];
  return error.retryAfterSeconds ?? (status === 429 || status === 503 ? 1 : null);
};
