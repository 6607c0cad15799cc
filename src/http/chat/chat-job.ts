import type { TextOwner } from '../../catalog/texts/text-workers.ts';
import {
  type ChatRendering,
  ChatTemplateError,
  FinalMessageError,
} from '../../catalog/tokenizer/chat-template.ts';
import { clientQueueLimit } from '../../engine/client/admission.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import type { GenerationFields } from '../generation/generation-fields.ts';
import { createJob, type GenerationJob, type JobContext } from '../generation/generation-job.ts';
import type { WantedGrammar } from '../generation/read-grammar.ts';
import { promptRoom, readMaxTokens, readPrompt } from '../generation/read-prompt.ts';
import type { ReadModel, ReadyModel } from '../models/find-model.ts';
import type { AnswerForm } from './tools/answer-form.ts';
import type { ToolUse } from './tools/read-tools.ts';
import type { ReadMessage } from './tools/render-tools.ts';
import { readToolCalling, type ToolCalling } from './tools/tool-calling.ts';

/** A chat to continue, whatever the API that describes it. */
export interface AskedChat {
  messages: readonly ReadMessage[];
  /** The field with the messages, for errors. */
  param: 'messages' | 'input';
  rendering: Omit<ChatRendering, 'tools'>;
  addSpecialTokens: boolean;
  /** null: no tool may be called. */
  use: ToolUse | null;
  /** What holds an answer without tools to a structure. */
  structure: WantedGrammar | null;
  /** Maximum tokens to generate, and the field that says so. */
  maxTokens: { param: string; asked: number | null };
  /** In the engine's form. */
  logprobs: number | null;
  /** What the answer's id begins with. */
  idPrefix: string;
}

/** Maximum tokens of an answer if neither the request nor the checkpoint says. */
const defaultMaxTokens = 2048;

/**
 * The job of a chat.
 * @returns also how calls in its answer are written; null: it has none
 * @throws ServiceError `invalid_request` for faults that the schema cannot detect
 */
export async function createChatJob(
  fields: GenerationFields,
  asked: AskedChat,
  context: JobContext,
): Promise<{ job: GenerationJob; callForm: AnswerForm | null }> {
  const { model, config, owner } = context;
  const { param } = asked;
  const toGenerate = { ...asked.maxTokens, fallback: model.defaults.maxNewTokens ?? defaultMaxTokens };
  const showsSpecials = fields.skip_special_tokens === false;
  const calling = await readToolCalling({ ...asked, showsSpecials }, model, owner);
  const prompt = await readPrompt(await render(asked, calling, model, owner), {
    model,
    owner,
    param,
    name: 'The chat',
    room: promptRoom(model, toGenerate),
    // Templates write special tokens themselves.
    addSpecialTokens: asked.addSpecialTokens,
    truncateTo: fields.truncate_prompt_tokens ?? null,
    toGenerate,
  });
  const { tokens: most } = clientQueueLimit(config);
  const n = fields.n ?? 1;
  if (prompt.length * n > most) {
    throw invalidRequest(
      param,
      `The chat has ${prompt.length} tokens; with this \`n\`, the maximum is ${Math.floor(most / n)} (ALTUP_MAX_QUEUED_TOKENS, ALTUP_CLIENT_QUEUE_SHARE).`,
    );
  }
  const job = await createJob(
    fields,
    {
      idPrefix: asked.idPrefix,
      prompts: [prompt],
      prefixes: null,
      bestOf: null,
      maxTokens: (given) => readMaxTokens(toGenerate, given, model),
      logprobs: asked.logprobs,
      promptLogprobs: null,
      grammar: calling.answer?.grammar ?? asked.structure,
      specialTexts: calling.answer?.specialTexts ?? new Map(),
    },
    context,
  );
  return { job, callForm: calling.answer?.form ?? null };
}

/** @returns what writes a chat as text @throws ServiceError if the model has no template */
export function requireTemplate({ name, texts }: ReadModel): NonNullable<ReadModel['texts']['render']> {
  if (texts.render) return texts.render;
  throw invalidRequest(
    'model',
    `'${name}' has no chat template: use /v1/completions, or put a chat_template.jinja into the model's folder.`,
  );
}

/** The chat as text for the model. @throws ServiceError if the model has no template, or its template refuses */
async function render(
  { param, rendering }: AskedChat,
  { messages, tools }: ToolCalling,
  model: ReadyModel,
  owner: TextOwner,
): Promise<string> {
  const write = requireTemplate(model);
  try {
    return await write(messages, { ...rendering, ...(tools ? { tools } : {}) }, owner);
  } catch (error) {
    if (error instanceof FinalMessageError) {
      throw invalidRequest(
        'continue_final_message',
        '`continue_final_message` needs a last message with text that the chat template keeps as it is.',
      );
    }
    if (!(error instanceof ChatTemplateError)) throw error;
    throw invalidRequest(param, `The model's chat template refuses the messages: ${error.message}`);
  }
}
