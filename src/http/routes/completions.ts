import { clientGone } from '../client-gone.ts';
import { choiceDeltas } from '../completions/choice-deltas.ts';
import { createCompletionJob } from '../completions/completion-job.ts';
import { streamCompletion, type UsageReports } from '../completions/stream-completion.ts';
import { wholeCompletion } from '../completions/whole-completion.ts';
import { findModel, requireReady } from '../find-model.ts';
import { refuseWhileDraining } from '../refuse-while-draining.ts';
import { type CompletionRequest, CompletionRequestSchema } from '../schemas/completion-request.ts';
import { CompletionRef } from '../schemas/completion-response.ts';
import { errorResponses } from '../schemas/error.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

const streamExample =
  'data: {"id":"cmpl-6b1f","choices":[{"index":0,"text":" acknowledged", …}], …}\n\ndata: [DONE]\n\n';

const schema = {
  operationId: 'createCompletion',
  tags: ['completions'],
  summary: 'Complete a prompt',
  description:
    'OpenAI’s completions, with the sampling parameters vLLM adds. Fields it does not know are refused.',
  security: [{ apiKey: [] }],
  body: CompletionRequestSchema,
  response: {
    200: {
      description: 'The completion; with `stream`, events that each hold a part of it, then `data: [DONE]`.',
      content: {
        'application/json': { schema: CompletionRef },
        'text/event-stream': { schema: { type: 'string', examples: [streamExample] } },
      },
    },
    ...errorResponses(400, 401, 404, 413, 429, 500, 503, 504),
  },
};

function usageReports({ stream_options: options }: CompletionRequest): UsageReports {
  if (!options?.include_usage) return 'none';
  return options.continuous_usage_stats ? 'continuous' : 'end';
}

export function completionsRoute(app: App, { config, models, engine, isDraining }: ServerDependencies): void {
  app.post(
    '/v1/completions',
    { schema, onRequest: refuseWhileDraining(isDraining) },
    async (request, reply) => {
      const { body, context } = request;
      const served = findModel(models, body.model);
      context.model = served.name;
      const job = createCompletionJob(body, requireReady(served), config, context.arrivedAt);
      context.completionId = job.id;
      context.promptTokens = job.promptTokens;

      const gone = clientGone(reply.raw);
      try {
        const deltas = choiceDeltas(engine.generate(job.requests, gone), job, context);
        if (!body.stream) return await wholeCompletion(deltas, job, context);
        await streamCompletion(reply, { job, deltas, usage: usageReports(body), context, gone });
        return reply;
      } catch (error) {
        if (!gone.aborted) throw error;
        // There is nobody left to answer.
        return reply.hijack();
      }
    },
  );
}
