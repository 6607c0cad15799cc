import Type from 'typebox';
import { ServiceError } from '../../errors.ts';
import { errorResponses } from '../errors/error-schema.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { wholeTurn } from '../json/in-turns.ts';
import { unsupported, unused } from '../schema-field.ts';
import type { App } from '../server-dependencies.ts';
import { type ResponseObject, ResponseRef } from './response-object.ts';
import type { ResponseStore, StoredResponse } from './response-store.ts';
import type { StoredItem } from './stored-items.ts';

const params = Type.Object({ response_id: Type.String({ description: 'The response’s id.' }) });

const responses = {
  404: Type.Unsafe<unknown>({
    $ref: 'Error#',
    description: '`not_found`: no such response is stored for this client.',
  }),
  ...errorResponses(400, 500),
};

const shared = { tags: ['generation'], params };

const includes = 'the response has all that it was created with';

const getSchema = {
  ...shared,
  operationId: 'getResponse',
  summary: 'Read a stored response',
  description: 'Needs `ALTUP_RESPONSES_STORE`. A client finds only its own responses.',
  querystring: Type.Object(
    {
      stream: unsupported(['false'], 'a stored response is returned whole'),
      include: unused(undefined, includes),
      'include[]': unused(undefined, includes),
    },
    { additionalProperties: false },
  ),
  response: { 200: ResponseRef, ...responses },
};

const deleteSchema = {
  ...shared,
  operationId: 'deleteResponse',
  summary: 'Delete a stored response',
  response: {
    200: Type.Object({
      id: Type.String(),
      object: Type.Literal('response'),
      deleted: Type.Literal(true),
    }),
    ...responses,
    // As of every method that may have a body.
    ...errorResponses(413, 415),
  },
};

const maxItems = 100;
const defaultItems = 20;

const listSchema = {
  ...shared,
  operationId: 'listInputItems',
  summary: 'List the items that a stored response answers',
  description: 'Those of `input`, after those of the responses that it continues.',
  querystring: Type.Object(
    {
      limit: Type.Optional(
        Type.String({
          pattern: '^([1-9]\\d?|100)$',
          description: `Maximum items, from 1 to ${maxItems}.`,
          default: String(defaultItems),
          'x-expects': `a whole number from 1 to ${maxItems}`,
        }),
      ),
      order: Type.Optional(
        Type.Enum(['asc', 'desc'], { default: 'desc', description: 'By default the last item comes first.' }),
      ),
      after: Type.Optional(Type.String({ description: 'The id of the item before the first of the list.' })),
      include: unused(undefined, includes),
      'include[]': unused(undefined, includes),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object({
      object: Type.Literal('list'),
      data: Type.Array(Type.Unsafe<StoredItem>({ type: 'object' })),
      first_id: Type.Union([Type.String(), Type.Null()]),
      last_id: Type.Union([Type.String(), Type.Null()]),
      has_more: Type.Boolean(),
    }),
    ...responses,
  },
};

/** The routes of stored responses. @param store null: none are stored */
export function storedRoutes(app: App, store: ResponseStore | null): void {
  const find = (client: string, id: string): StoredResponse => {
    const stored = store?.get(client, id);
    if (!stored) throw notStored(store, id);
    return stored;
  };
  app.get('/v1/responses/:response_id', { schema: getSchema }, async ({ life, params }, reply) => {
    const { response } = find(life.client, params.response_id);
    return reply.type('application/json; charset=utf-8').send(response as unknown as ResponseObject);
  });
  app.delete('/v1/responses/:response_id', { schema: deleteSchema }, async ({ life, params }) => {
    const id = params.response_id;
    if (!store?.delete(life.client, id)) throw notStored(store, id);
    return { id, object: 'response' as const, deleted: true as const };
  });
  app.get(
    '/v1/responses/:response_id/input_items',
    { schema: listSchema },
    async ({ life, params, query }) => {
      const { input } = find(life.client, params.response_id);
      await wholeTurn();
      const items: StoredItem[] = JSON.parse(input.toString());
      return page(query.order === 'asc' ? items : items.reverse(), query);
    },
  );
}

function page(items: readonly StoredItem[], { after, limit }: { after?: string; limit?: string }) {
  const before = after === undefined ? -1 : items.findIndex(({ id }) => id === after);
  if (after !== undefined && before < 0)
    throw invalidRequest(
      'after',
      `\`after\` is '${after.slice(0, 64)}', which is not an item of this response.`,
    );
  const end = before + 1 + Number(limit ?? defaultItems);
  const data = items.slice(before + 1, end);
  return {
    object: 'list' as const,
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: end < items.length,
  };
}

function notStored(store: ResponseStore | null, id: string): ServiceError {
  return new ServiceError(
    'not_found',
    store
      ? `No response '${id.slice(0, 64)}' is stored for this client: it was deleted, or newer ones took its place (ALTUP_RESPONSES_STORE).`
      : 'This service stores no responses; its operator can set ALTUP_RESPONSES_STORE.',
  );
}
