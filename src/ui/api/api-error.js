/**
 * @typedef {object} ErrorFields
 * @property {string} message
 * @property {string} code
 * @property {string | null} [param] the field at fault
 * @property {number | null} [status] of the answer; null if there was none, or if the stream had begun
 * @property {number | null} [retryAfterSeconds]
 * @property {string | null} [requestId] id of the request in the service's log
 */

/** A failed request to the service. */
export class ApiError extends Error {
  /** @param {ErrorFields} fields */
  constructor({ message, code, param = null, status = null, retryAfterSeconds = null, requestId = null }) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.param = param;
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
    this.requestId = requestId;
  }

  /**
   * @param {Response} response
   * @returns {Promise<ApiError>}
   */
  static async of(response) {
    const { status, statusText, headers } = response;
    const retryAfter = Number(headers.get('retry-after') ?? Number.NaN);
    const about = {
      status,
      retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : null,
      requestId: headers.get('x-request-id'),
    };
    const body = await response.json().catch(() => null);
    if (body?.error?.message) {
      const { message, code, param } = body.error;
      // Other servers have codes of their own, or numbers.
      const own = typeof code === 'string' ? code : status === 401 ? 'unauthorized' : 'refused';
      return new ApiError({ message: String(message), code: own, param, ...about });
    }
    const message = `The answer, ${`HTTP ${status} ${statusText}`.trim()}, is not in this service’s format.`;
    return new ApiError({ message, code: 'foreign_answer', ...about });
  }
}
