import { createChat } from '../chat/chat-job.ts';
import type { ClientLimits } from '../client-limits.ts';
import { generationRoute } from '../generation/generation-route.ts';
import { ChatRequestSchema } from '../schemas/chat-request.ts';
import { ChatCompletionRef } from '../schemas/chat-response.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

export function chatCompletionsRoute(app: App, dependencies: ServerDependencies, limits: ClientLimits): void {
  generationRoute(app, dependencies, limits, {
    url: '/v1/chat/completions',
    create: createChat,
    body: ChatRequestSchema,
    answer: ChatCompletionRef,
    operation: 'chat',
    operationId: 'createChatCompletion',
    summary: 'Go on with a chat',
    description:
      'OpenAI’s chat completions, with the sampling parameters vLLM adds, for models that have a chat template. Fields it does not know are refused.',
    streamExample: '{"id":"chatcmpl-6b1f","choices":[{"index":0,"delta":{"content":"A proud"}, …}], …}',
  });
}
