import type { onRequestAsyncHookHandler } from 'fastify';
import type Type from 'typebox';
import { ServiceError } from '../../errors.ts';
import type { RequestLife } from '../../observability/request-life.ts';
import { clientGone, textOwner } from '../access.ts';
import { errorResponses } from '../errors/error-schema.ts';
import type { ClientLimits } from '../limits/client-limits.ts';
import { findModel, type ReadModel, requireRead, requireReady } from '../models/find-model.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';
import { answerGeneration } from './answer-generation.ts';
import type { AnswerFormat } from './answer-parts.ts';
import type { GenerationFields } from './generation-fields.ts';
import type { GenerationJob, JobContext } from './generation-job.ts';

/** A route that generates text. */
interface GenerationRoute<Body extends Type.TSchema> {
  url: string;
  /** Refuses what the model can never do, before it is loaded for that. @throws ServiceError `invalid_request` */
  check(body: Type.Static<Body>, model: ReadModel): void;
  /** @throws ServiceError `invalid_request` for faults that the schema cannot detect */
  create(body: Type.Static<Body>, context: JobContext): Promise<{ job: GenerationJob; format: AnswerFormat }>;
  body: Body;
  answer: Type.TSchema;
  operationId: string;
  /** OpenTelemetry's name for it. */
  operation: 'text_completion' | 'chat';
  summary: string;
  description: string;
  stream: StreamDescription;
}

interface StreamDescription {
  /** What the service sends with `stream`, after “with `stream`, ”. */
  events: string;
  /** An event's `data`. */
  data: string;
  examples: string[];
}

/** The stream of an API whose answers have choices. @param example the data of a chunk */
export const chunkStream = (example: string): StreamDescription => ({
  events: 'events that each hold a part of it, then `data: [DONE]`',
  data: 'A part of the answer as JSON, an error, or at the end `[DONE]`.',
  examples: [example, '[DONE]'],
});

/** The schema of one event, in the form that OpenAPI uses for streams since 3.2. */
const eventSchema = ({ data, examples }: StreamDescription) => ({
  type: 'object',
  description: 'An event.',
  required: ['data'],
  properties: { data: { type: 'string', description: data, examples } },
});

export function generationRoute<Body extends Type.TSchema>(
  app: App,
  dependencies: ServerDependencies,
  limits: ClientLimits,
  route: GenerationRoute<Body>,
): void {
  const { config, models, keeper, metrics, compileGrammar, clock } = dependencies;
  const schema = {
    operationId: route.operationId,
    tags: ['generation'],
    summary: route.summary,
    description: route.description,
    body: route.body,
    response: {
      200: {
        description: `The whole answer; with \`stream\`, ${route.stream.events}.`,
        content: {
          'application/json': { schema: route.answer },
          'text/event-stream': { schema: eventSchema(route.stream) },
        },
      },
      ...errorResponses(404, 413, 415, 500, 503, 504),
    },
  };
  app.post(route.url, { schema, onRequest: refuseWhileDraining(dependencies) }, async (request, reply) => {
    const fields = request.body as Type.Static<Body> & GenerationFields;
    const served = findModel(models, fields.model);
    const { life } = request;
    const task = { operation: route.operation, parameters: tracedParameters(fields) };
    life.beginGeneration(task, served.state.state === 'ready', clock());
    route.check(fields, requireRead(served));
    const gone = clientGone(reply.raw);
    try {
      const leave = await keeper.use(served, { client: life.client, signal: gone });
      life.loadedAt ??= clock();
      try {
        const { job, format } = await route.create(fields, {
          model: requireReady(served),
          config,
          compileGrammar,
          clock,
          arrivedAt: life.arrivedAt,
          owner: textOwner(request, served.name, gone, dependencies),
        });
        const release = limits.takeFor(job.requests, metrics);
        try {
          const isStreamed = fields.stream ?? false;
          return await answerGeneration(request, reply, { job, format, isStreamed, gone }, dependencies);
        } finally {
          release();
        }
      } finally {
        leave();
      }
    } catch (error) {
      if (!gone.aborted) throw error;
      // Nobody is left to answer.
      return reply.hijack();
    }
  });
}

/** A request's parameters, under the names of OpenTelemetry's GenAI conventions. */
function tracedParameters(
  fields: GenerationFields & {
    max_tokens?: number | null;
    max_completion_tokens?: number | null;
    max_output_tokens?: number | null;
  },
): NonNullable<RequestLife['generation']>['parameters'] {
  return {
    max_tokens: fields.max_output_tokens ?? fields.max_completion_tokens ?? fields.max_tokens ?? null,
    temperature: fields.temperature ?? null,
    top_p: fields.top_p ?? null,
    top_k: fields.top_k ?? null,
    seed: fields.seed ?? null,
    stop_sequences: typeof fields.stop === 'string' ? [fields.stop] : (fields.stop ?? null),
    stream: fields.stream ?? false,
    'choice.count': fields.n ?? 1,
    frequency_penalty: fields.frequency_penalty ?? null,
    presence_penalty: fields.presence_penalty ?? null,
  };
}

/** After the stop signal, no request on a new connection starts; another instance takes the retry. */
export function refuseWhileDraining(dependencies: ServerDependencies): onRequestAsyncHookHandler {
  return async ({ raw }, reply) => {
    if (!dependencies.isDraining() || !dependencies.isLate(raw.socket)) return;
    reply.header('connection', 'close');
    throw new ServiceError('shutting_down', 'The service is about to stop.', { retryAfterSeconds: 1 });
  };
}
