import { clientQueueLimit } from '../../engine/client/admission.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { unsupportedField } from '../errors/validation-error.ts';
import { withoutEffectInChat } from '../generation/fields-without-effect.ts';
import { createJob, type GenerationJob, type JobContext } from '../generation/generation-job.ts';
import { generationRoute } from '../generation/generation-route.ts';
import { promptRoom, readMaxTokens, readPrompt } from '../generation/read-prompt.ts';
import type { ClientLimits } from '../limits/client-limits.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';
import { ChatFormat } from './chat-format.ts';
import { type ChatRequest, ChatRequestSchema } from './chat-request.ts';
import { ChatCompletionRef } from './chat-response.ts';
import { renderChat } from './render-chat.ts';
import { readToolCalling } from './tools/tool-calling.ts';

function readLogprobs({ logprobs, top_logprobs: top }: ChatRequest): number | null {
  if (logprobs) return top ?? 0;
  if (top) throw invalidRequest('top_logprobs', '`top_logprobs` needs `logprobs` to be true.');
  return null;
}

/** Maximum tokens of an answer if neither the request nor the checkpoint says. */
const defaultMaxTokens = 2048;

/** Accepts functions only if none may be called. */
function refuseFunctions({ functions, function_call }: ChatRequest): void {
  if (functions?.length && function_call !== 'none')
    throw unsupportedField('functions', withoutEffectInChat.functions);
}

/** @throws ServiceError `invalid_request` for faults that the schema cannot detect */
async function createChat(
  body: ChatRequest,
  context: JobContext,
): Promise<{ job: GenerationJob; format: ChatFormat }> {
  const { model, config, owner } = context;
  refuseFunctions(body);
  const logprobs = readLogprobs(body);
  const newer = body.max_completion_tokens ?? null;
  const toGenerate = {
    param: newer === null ? 'max_tokens' : 'max_completion_tokens',
    asked: newer ?? body.max_tokens ?? null,
    fallback: model.defaults.maxNewTokens ?? defaultMaxTokens,
  };
  const calling = await readToolCalling(body, model, owner);
  const prompt = await readPrompt(await renderChat(body, model, owner, calling), {
    model,
    owner,
    param: 'messages',
    name: 'The chat',
    room: promptRoom(model, toGenerate),
    // Templates write special tokens themselves.
    addSpecialTokens: body.add_special_tokens ?? false,
    truncateTo: body.truncate_prompt_tokens ?? null,
    toGenerate,
  });
  const { tokens: most } = clientQueueLimit(config);
  const n = body.n ?? 1;
  if (prompt.length * n > most) {
    throw invalidRequest(
      'messages',
      `The chat has ${prompt.length} tokens; with this \`n\`, the maximum is ${Math.floor(most / n)} (ALTUP_MAX_QUEUED_TOKENS, ALTUP_CLIENT_QUEUE_SHARE).`,
    );
  }
  const job = await createJob(
    body,
    {
      idPrefix: 'chatcmpl',
      prompts: [prompt],
      prefixes: null,
      bestOf: null,
      maxTokens: (given) => readMaxTokens(toGenerate, given, model),
      logprobs,
      promptLogprobs: null,
      grammar: calling?.answer?.grammar ?? null,
      specialTexts: calling?.answer?.specialTexts ?? new Map(),
    },
    context,
  );
  return { job, format: new ChatFormat(job, calling?.answer?.form ?? null) };
}

export function chatCompletionsRoute(app: App, dependencies: ServerDependencies, limits: ClientLimits): void {
  generationRoute(app, dependencies, limits, {
    url: '/v1/chat/completions',
    create: createChat,
    body: ChatRequestSchema,
    answer: ChatCompletionRef,
    operation: 'chat',
    operationId: 'createChatCompletion',
    summary: 'Continue a chat',
    description:
      'OpenAI’s chat completions, with vLLM’s additional sampling parameters, for models that have a chat template. The service refuses unknown fields.',
    streamExample: '{"id":"chatcmpl-6b1f","choices":[{"index":0,"delta":{"content":"A proud"}, …}], …}',
  });
}
