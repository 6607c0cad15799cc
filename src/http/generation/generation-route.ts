import type Type from 'typebox';
import type { ServiceError } from '../../errors.ts';
import { clientGone } from '../client-gone.ts';
import type { ClientLimits } from '../client-limits.ts';
import { findModel, requireReady } from '../find-model.ts';
import { refuseWhileDraining } from '../refuse-while-draining.ts';
import { errorResponses } from '../schemas/error.ts';
import type { GenerationFields } from '../schemas/generation-fields.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';
import { textOwner } from '../text-owner.ts';
import { traceParameters } from '../trace-generation.ts';
import type { AnswerFormat } from './answer-format.ts';
import { answerGeneration } from './answer-generation.ts';
import type { GenerationJob, JobContext } from './generation-job.ts';

/** One of the ways to ask for text. */
export interface GenerationRoute<Body extends Type.TSchema> {
  url: string;
  /** @throws ServiceError `invalid_request` for what the schema cannot tell */
  create(body: Type.Static<Body>, context: JobContext): Promise<{ job: GenerationJob; format: AnswerFormat }>;
  body: Body;
  answer: Type.TSchema;
  operationId: string;
  /** By OpenTelemetry's name. */
  operation: 'text_completion' | 'chat';
  summary: string;
  description: string;
  streamExample: string;
}

/** Of each event, as OpenAPI describes streams from 3.2 on. */
const eventSchema = (example: string) => ({
  type: 'object',
  description: 'An event.',
  required: ['data'],
  properties: {
    data: {
      type: 'string',
      description: 'A part of the answer as JSON, an error, or at the end `[DONE]`.',
      examples: [example, '[DONE]'],
    },
  },
});

export function generationRoute<Body extends Type.TSchema>(
  app: App,
  dependencies: ServerDependencies,
  limits: ClientLimits,
  route: GenerationRoute<Body>,
): void {
  const { config, models, isDraining, metrics, compileGrammar, clock } = dependencies;
  const takeSequences = ({ requests: [first], requests }: GenerationJob) => {
    try {
      return limits.take(first!.client, requests.length);
    } catch (error) {
      metrics.rejected(first!.model, (error as ServiceError).code, requests.length);
      throw error;
    }
  };
  const schema = {
    operationId: route.operationId,
    tags: ['generation'],
    summary: route.summary,
    description: route.description,
    security: [{ apiKey: [] }],
    body: route.body,
    response: {
      200: {
        description:
          'The whole answer; with `stream`, events that each hold a part of it, then `data: [DONE]`.',
        content: {
          'application/json': { schema: route.answer },
          'text/event-stream': { schema: eventSchema(route.streamExample) },
        },
      },
      ...errorResponses(404, 413, 415, 500, 503, 504),
    },
  };
  app.post(route.url, { schema, onRequest: refuseWhileDraining(isDraining) }, async (request, reply) => {
    const { context } = request;
    const fields = request.body as Type.Static<Body> & GenerationFields;
    const served = findModel(models, fields.model);
    const { operation } = route;
    context.generation = { operation, parameters: traceParameters(fields), finishReasons: [] };
    const gone = clientGone(reply.raw);
    try {
      const { job, format } = await route.create(fields, {
        model: requireReady(served),
        config,
        compileGrammar,
        clock,
        arrivedAt: context.arrivedAt,
        owner: textOwner(request, served.name, gone, dependencies),
      });
      const release = takeSequences(job);
      try {
        return await answerGeneration(request, reply, { job, format, fields, gone }, dependencies);
      } finally {
        release();
      }
    } catch (error) {
      if (!gone.aborted) throw error;
      // There is nobody left to answer.
      return reply.hijack();
    }
  });
}
