import type { ClientLimits } from '../client-limits.ts';
import { createCompletion } from '../completions/completion-job.ts';
import { generationRoute } from '../generation/generation-route.ts';
import { CompletionRequestSchema } from '../schemas/completion-request.ts';
import { CompletionRef } from '../schemas/completion-response.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

export function completionsRoute(app: App, dependencies: ServerDependencies, limits: ClientLimits): void {
  generationRoute(app, dependencies, limits, {
    url: '/v1/completions',
    create: createCompletion,
    body: CompletionRequestSchema,
    answer: CompletionRef,
    operation: 'text_completion',
    operationId: 'createCompletion',
    summary: 'Complete a prompt',
    description:
      'OpenAI’s completions, with the sampling parameters vLLM adds. Fields it does not know are refused.',
    streamExample: '{"id":"cmpl-6b1f","choices":[{"index":0,"text":" acknowledged", …}], …}',
  });
}
