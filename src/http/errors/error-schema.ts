import Type from 'typebox';
import { errorCatalogue } from '../../errors.ts';

export const ErrorSchema = Type.Object(
  {
    error: Type.Object({
      message: Type.String(),
      type: Type.String(),
      param: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'The field at fault.' }),
      code: Type.Unsafe<string>({ type: 'string', enum: Object.keys(errorCatalogue) }),
    }),
  },
  {
    $id: 'Error',
    examples: [
      {
        error: {
          message: '`temperature` must be a number from 0 to 2 or null, not 3.',
          type: 'invalid_request_error',
          param: 'temperature',
          code: 'invalid_request',
        },
      },
    ],
  },
);

/** The `headers` of a documented response. */
export const retryAfter = {
  'Retry-After': { type: 'integer', minimum: 1, description: 'Seconds to wait before a retry.' },
};

type Status = (typeof errorCatalogue)[keyof typeof errorCatalogue]['status'];

/** The `response` entries of a route that can answer with these statuses. */
export function errorResponses(...statuses: Status[]): Record<number, Type.TSchema> {
  const entries = statuses.map((status) => {
    const codes = Object.entries(errorCatalogue).filter(
      ([code, entry]) => entry.status === status && code !== 'not_found',
    );
    const description = codes.map(([code, entry]) => `\`${code}\`: ${entry.when}`).join(' ');
    const headers = status === 429 || status === 503 ? { headers: retryAfter } : {};
    return [status, Type.Unsafe<unknown>({ $ref: 'Error#', description, ...headers })] as const;
  });
  return Object.fromEntries(entries);
}

/** Adds the refusals that all routes of a scope share to a route's documented responses. */
export function documentErrors(
  route: { schema?: { response?: unknown } | undefined },
  ...statuses: Status[]
): void {
  if (!route.schema?.response) return;
  route.schema = { ...route.schema, response: { ...errorResponses(...statuses), ...route.schema.response } };
}
