import { type AskedChat, createChatJob, requireTemplate } from '../chat/chat-job.ts';
import type { GenerationJob, JobContext } from '../generation/generation-job.ts';
import { generationRoute } from '../generation/generation-route.ts';
import { readStructure } from '../generation/read-grammar.ts';
import { writeInTurns } from '../json/in-turns.ts';
import type { ClientLimits } from '../limits/client-limits.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';
import { type InputItem, itemsOf, readItems } from './input-items.ts';
import { echoOf, readLogprobs, readTextFormat, readTools } from './read-request.ts';
import { type KeepResponse, ResponseFormat } from './response-format.ts';
import { ResponseRef } from './response-object.ts';
import { ResponseStore } from './response-store.ts';
import { type ResponsesRequest, ResponsesRequestSchema } from './responses-request.ts';
import { earlierItems, resolveReferences, storedItems } from './stored-items.ts';
import { storedRoutes } from './stored-routes.ts';

/** Keeps a response together with the items that it answers. */
const keepIn =
  (store: ResponseStore, client: string, items: readonly InputItem[]): KeepResponse =>
  async (response) =>
    store.add(client, response.id, {
      response: ownMemory((await writeInTurns(response)).bytes),
      input: ownMemory((await writeInTurns(storedItems(items))).bytes),
      itemIds: response.output.map(({ id }) => id),
    });

/** Node cuts small buffers out of large ones, which a stored response would keep in memory. */
function ownMemory(bytes: Buffer): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  return own;
}

/**
 * @param store null: nothing is stored
 * @throws ServiceError `invalid_request` for faults that the schema cannot detect
 */
async function createResponse(
  body: ResponsesRequest,
  context: JobContext,
  store: ResponseStore | null,
): Promise<{ job: GenerationJob; format: ResponseFormat }> {
  const { client } = context.owner;
  const { previous_response_id: previous = null } = body;
  const maxBytes = context.config.bodyLimit;
  const earlier = previous === null ? [] : await earlierItems(store, client, { id: previous, maxBytes });
  const input = await resolveReferences(store, client, { items: itemsOf(body.input), maxBytes });
  const structure = readStructure(readTextFormat(body), body.structured_outputs);
  const asked: AskedChat = {
    messages: readItems(body.instructions ?? null, earlier, input),
    param: 'input',
    rendering: { addGenerationPrompt: true, continuesFinal: false, variables: {} },
    addSpecialTokens: false,
    use: readTools(body, structure),
    structure,
    maxTokens: { param: 'max_output_tokens', asked: body.max_output_tokens ?? null },
    logprobs: readLogprobs(body),
    idPrefix: 'resp_',
  };
  const { job, callForm } = await createChatJob(body, asked, context);
  const keep = store && (body.store ?? true) ? keepIn(store, client, [...earlier, ...input]) : null;
  return { job, format: new ResponseFormat(job, callForm, echoOf(body, job), keep) };
}

/** The route that creates responses, and those of stored ones. */
export function responsesRoutes(app: App, dependencies: ServerDependencies, limits: ClientLimits): void {
  const { responsesStore: limitBytes } = dependencies.config;
  const store = limitBytes === null ? null : new ResponseStore(limitBytes);
  storedRoutes(app, store);
  generationRoute(app, dependencies, limits, {
    url: '/v1/responses',
    check: (_, model) => void requireTemplate(model),
    create: (body, context) => createResponse(body, context, store),
    body: ResponsesRequestSchema,
    answer: ResponseRef,
    operation: 'chat',
    operationId: 'createResponse',
    summary: 'Create a response',
    description:
      'OpenAI’s responses, with vLLM’s additional sampling parameters, for models that have a chat template. The service refuses unknown fields.',
    stream: {
      events: 'events, of which the last holds the whole answer',
      data: 'A part of the answer as JSON, with the event’s name as its `type`.',
      examples: [
        '{"type":"response.output_text.delta","sequence_number":4,"output_index":0,"content_index":0,"delta":"A proud", …}',
      ],
    },
  });
}
