/**
 * Every error a client can receive: code, HTTP status and when it happens. A test keeps docs/errors.md in line with it.
 * `type` follows OpenAI's vocabulary.
 */
export const errorCatalogue = {
  invalid_request: {
    status: 400,
    type: 'invalid_request_error',
    when: 'The body, a parameter or a combination of parameters is not valid; `param` names the field.',
  },
  unauthorized: { status: 401, type: 'authentication_error', when: 'The API key is missing or wrong.' },
  model_not_found: { status: 404, type: 'invalid_request_error', when: 'No model of that name is served.' },
  not_found: {
    status: 404,
    type: 'invalid_request_error',
    when: 'No such route, or no such stored response.',
  },
  method_not_allowed: {
    status: 405,
    type: 'invalid_request_error',
    when: 'The route does not take this method; the `Allow` header lists the methods it takes.',
  },
  host_not_allowed: {
    status: 421,
    type: 'invalid_request_error',
    when: 'The `Host` header has a name that is not in `ALTUP_ALLOWED_HOSTS`.',
  },
  payload_too_large: {
    status: 413,
    type: 'invalid_request_error',
    when: 'The request body is larger than the limit.',
  },
  unsupported_media_type: {
    status: 415,
    type: 'invalid_request_error',
    when: 'The body is not sent as `application/json`, or its headers say that it is compressed or not UTF-8.',
  },
  rate_limited: {
    status: 429,
    type: 'rate_limit_error',
    when: 'This API key or address exceeds its rate or concurrency limit, or too many wrong keys came from this address.',
  },
  queue_full: {
    status: 429,
    type: 'rate_limit_error',
    when: 'Too many requests or prompt tokens are waiting, or too many bytes of request bodies are arriving; `Retry-After` says when to retry.',
  },
  engine_failure: { status: 500, type: 'server_error', when: 'The engine failed while it ran the request.' },
  text_failure: {
    status: 500,
    type: 'server_error',
    when: 'The model’s own tokenizer or chat template took too long or needed too much memory for this text, or produced too much output.',
  },
  internal_error: {
    status: 500,
    type: 'server_error',
    when: 'The service itself failed; its log has the details under the request’s `X-Request-Id`.',
  },
  not_ready: {
    status: 503,
    type: 'server_error',
    when: 'The model is still loading, failed to load, was removed, or its engine is restarting.',
  },
  compiler_busy: {
    status: 503,
    type: 'server_error',
    when: 'Too many grammars and schemas are waiting to be compiled, or the request’s own grammar waited too long.',
  },
  shutting_down: { status: 503, type: 'server_error', when: 'The service is draining before it stops.' },
  deadline_exceeded: {
    status: 504,
    type: 'server_error',
    when: 'The request waited or ran longer than its deadline.',
  },
} as const satisfies Record<string, { status: number; type: string; when: string }>;

export type ErrorCode = keyof typeof errorCatalogue;

export interface ServiceErrorOptions {
  /** The request field at fault. */
  param?: string;
  /** Seconds to wait before a retry; sent as the `Retry-After` header. */
  retryAfterSeconds?: number;
  cause?: unknown;
}

/** An error for the client: its message is safe to send and says how to fix the request. */
export class ServiceError extends Error {
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly retryAfterSeconds: number | null;

  constructor(code: ErrorCode, message: string, options: ServiceErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'ServiceError';
    this.code = code;
    this.param = options.param ?? null;
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
  }

  get status(): number {
    return errorCatalogue[this.code].status;
  }

  /** OpenAI's error body, always with all four keys. */
  toBody(): { error: { message: string; type: string; param: string | null; code: ErrorCode } } {
    return {
      error: {
        message: this.message,
        type: errorCatalogue[this.code].type,
        param: this.param,
        code: this.code,
      },
    };
  }
}

/** Wrong configuration, model folder or checkpoint. Refused at start; the message names the file or variable. */
export class ConfigurationError extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'ConfigurationError';
  }
}

/** A flag, a variable or their combination is wrong: nothing was tried. Ends a command with 2 instead of 1. */
export class UsageError extends ConfigurationError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'UsageError';
  }
}
