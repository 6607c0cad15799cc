import { reservedVariables } from '../../catalog/tokenizer/chat-template.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { unsupportedField } from '../errors/validation-error.ts';
import { ChunkedAnswer } from '../generation/chunked-answer.ts';
import { withoutEffectInChat } from '../generation/fields-without-effect.ts';
import type { GenerationJob, JobContext } from '../generation/generation-job.ts';
import { chunkStream, generationRoute } from '../generation/generation-route.ts';
import { readResponseFormat, readStructure, type WantedGrammar } from '../generation/read-grammar.ts';
import type { ClientLimits } from '../limits/client-limits.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';
import { ChatFormat } from './chat-format.ts';
import { type AskedChat, createChatJob, requireTemplate } from './chat-job.ts';
import { type ChatRequest, ChatRequestSchema } from './chat-request.ts';
import { ChatCompletionRef } from './chat-response.ts';
import { readMessages } from './read-messages.ts';
import { readToolUse, type ToolRequest, type ToolUse } from './tools/read-tools.ts';
import type { ToolChoice } from './tools/tool-fields.ts';

function readLogprobs({ logprobs, top_logprobs: top }: ChatRequest): number | null {
  if (logprobs) return top ?? 0;
  if (top) throw invalidRequest('top_logprobs', '`top_logprobs` needs `logprobs` to be true.');
  return null;
}

/** Accepts functions only if none may be called. */
function refuseFunctions({ functions, function_call }: ChatRequest): void {
  if (functions?.length && function_call !== 'none')
    throw unsupportedField('functions', withoutEffectInChat.functions);
}

function readRendering(body: ChatRequest): AskedChat['rendering'] {
  const continuesFinal = body.continue_final_message ?? false;
  const addGenerationPrompt = body.add_generation_prompt ?? true;
  if (continuesFinal && addGenerationPrompt) {
    throw invalidRequest(
      'continue_final_message',
      '`continue_final_message` needs `add_generation_prompt` to be false.',
    );
  }
  const variables = body.chat_template_kwargs ?? {};
  const reserved = reservedVariables.find((name) => Object.hasOwn(variables, name));
  if (reserved) {
    throw invalidRequest(
      'chat_template_kwargs',
      `\`chat_template_kwargs.${reserved}\` is not allowed: the service sets \`${reserved}\` itself.`,
    );
  }
  return { addGenerationPrompt, continuesFinal, variables };
}

function readChoice(choice: ToolChoice): Pick<ToolRequest, 'mode' | 'names'> {
  if (typeof choice === 'string') return { mode: choice, names: null };
  if (choice.type === 'function') return { mode: 'required', names: [choice.function.name] };
  const { mode, tools } = choice.allowed_tools;
  return { mode, names: tools.map((tool) => tool.function.name) };
}

function readTools(body: ChatRequest, structure: WantedGrammar | null): ToolUse | null {
  const choice = body.tool_choice ?? 'auto';
  const isNamed = typeof choice !== 'string' && choice.type === 'function';
  return readToolUse({
    tools: body.tools ?? [],
    placeOf: (index) => `tools[${index}].function`,
    ...readChoice(choice),
    isParallel: !isNamed && (body.parallel_tool_calls ?? true),
    structure,
    formatParam: 'response_format',
  });
}

/** @throws ServiceError `invalid_request` for faults that the schema cannot detect */
async function createChat(
  body: ChatRequest,
  context: JobContext,
): Promise<{ job: GenerationJob; format: ChunkedAnswer }> {
  refuseFunctions(body);
  const newer = body.max_completion_tokens ?? null;
  const structure = readStructure(readResponseFormat(body.response_format), body.structured_outputs);
  const asked: AskedChat = {
    messages: readMessages(body.messages),
    param: 'messages',
    rendering: readRendering(body),
    addSpecialTokens: body.add_special_tokens ?? false,
    use: readTools(body, structure),
    structure,
    maxTokens: {
      param: newer === null ? 'max_tokens' : 'max_completion_tokens',
      asked: newer ?? body.max_tokens ?? null,
    },
    logprobs: readLogprobs(body),
    idPrefix: 'chatcmpl-',
  };
  const { job, callForm } = await createChatJob(body, asked, context);
  return { job, format: new ChunkedAnswer(new ChatFormat(job, callForm), job, body, context.clock) };
}

export function chatCompletionsRoute(app: App, dependencies: ServerDependencies, limits: ClientLimits): void {
  generationRoute(app, dependencies, limits, {
    url: '/v1/chat/completions',
    check: (_, model) => void requireTemplate(model),
    create: createChat,
    body: ChatRequestSchema,
    answer: ChatCompletionRef,
    operation: 'chat',
    operationId: 'createChatCompletion',
    summary: 'Continue a chat',
    description:
      'OpenAI’s chat completions, with vLLM’s additional sampling parameters, for models that have a chat template. The service refuses unknown fields.',
    stream: chunkStream('{"id":"chatcmpl-6b1f","choices":[{"index":0,"delta":{"content":"A proud"}, …}], …}'),
  });
}
