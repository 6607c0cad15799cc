import { clientQueueLimit } from '../../engine/client/admission.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { ChunkedAnswer } from '../generation/chunked-answer.ts';
import {
  createJob,
  type GenerationJob,
  type JobContext,
  sequencesPerPrompt,
} from '../generation/generation-job.ts';
import { chunkStream, generationRoute } from '../generation/generation-route.ts';
import { readResponseFormat, readStructure } from '../generation/read-grammar.ts';
import {
  checkGivenTokens,
  promptRoom,
  readMaxTokens,
  readPrompts,
  type SinglePrompt,
  separatePrompts,
} from '../generation/read-prompt.ts';
import type { ClientLimits } from '../limits/client-limits.ts';
import type { ReadModel } from '../models/find-model.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';
import { CompletionFormat } from './completion-format.ts';
import { type CompletionRequest, CompletionRequestSchema } from './completion-request.ts';
import { CompletionRef } from './completion-response.ts';
import { echoPrompt } from './echoed-prompt.ts';

const defaultMaxTokens = 16;

/** How many alternatives to report with the tokens that the decoder is given; null: no log probabilities. */
function readPromptLogprobs(body: CompletionRequest, { name, manifest }: ReadModel): number | null {
  const {
    prompt_logprobs: apart = null,
    logprobs = null,
    completion_prefix: prefix = null,
    echo,
    stream,
  } = body;
  const echoed = echo ? logprobs : null;
  if (apart === null && echoed === null) return null;
  if (apart !== null && stream) {
    throw invalidRequest(
      'prompt_logprobs',
      '`prompt_logprobs` cannot be combined with `stream`; use `echo` and `logprobs`.',
    );
  }
  if (manifest.graphs.encoder && (apart !== null || prefix === null)) {
    const asked = apart === null ? '`echo` with `logprobs`' : '`prompt_logprobs`';
    throw invalidRequest(
      apart === null ? 'echo' : 'prompt_logprobs',
      `${asked} is not supported: '${name}' is an encoder-decoder model, which has no log probabilities for its prompt. To get those of a prefix, send \`completion_prefix\` with \`echo\` and \`logprobs\`.`,
    );
  }
  return Math.max(apart ?? 0, echoed ?? 0);
}

/** The prefix of all completions, or one for each prompt; null if none is given. @throws ServiceError `invalid_request` */
function separatePrefixes(body: CompletionRequest, prompts: number, model: ReadModel): SinglePrompt[] | null {
  const { completion_prefix: prefix = null } = body;
  if (prefix === null) return null;
  const refuse = (message: string) => invalidRequest('completion_prefix', message);
  if (!model.manifest.graphs.encoder) {
    throw refuse(
      `\`completion_prefix\` is only for encoder-decoder models; '${model.name}' continues its \`prompt\`, so append the prefix to that.`,
    );
  }
  const isList = typeof prefix !== 'string' && typeof prefix[0] !== 'number';
  const prefixes = separatePrompts(prefix);
  if (!isList || prefixes.length === prompts) return prefixes;
  throw refuse(
    `\`completion_prefix\` is a list of ${prefixes.length}, but there ${prompts === 1 ? 'is 1 prompt' : `are ${prompts} prompts`}; send one prefix for each prompt.`,
  );
}

/** @throws ServiceError `invalid_request` */
function checkCompletion(body: CompletionRequest, model: ReadModel): void {
  if (body.max_tokens === 0 && !body.echo && (body.prompt_logprobs ?? null) === null) {
    throw invalidRequest('max_tokens', '`max_tokens` of 0 needs `echo` or `prompt_logprobs`.');
  }
  readPromptLogprobs(body, model);
  const prompts = separatePrompts(body.prompt);
  checkGivenTokens(separatePrefixes(body, prompts.length, model) ?? [], 'completion_prefix', model);
  // Truncation may cut off what the model does not take.
  if ((body.truncate_prompt_tokens ?? null) === null) checkGivenTokens(prompts, 'prompt', model);
}

/** @throws ServiceError `invalid_request` for faults that the schema cannot detect */
async function createCompletion(
  body: CompletionRequest,
  context: JobContext,
): Promise<{ job: GenerationJob; format: ChunkedAnswer }> {
  const { model, config, owner } = context;
  const promptLogprobs = readPromptLogprobs(body, model);
  const sequences = sequencesPerPrompt(body, body.best_of ?? null, config);
  const given = separatePrompts(body.prompt);
  const queueLimit = clientQueueLimit(config);
  const limits = {
    prompts: Math.floor(queueLimit.requests / sequences),
    tokens: Math.floor(queueLimit.tokens / sequences),
    given: 'with this `n`, ' as const,
  };
  const toGenerate = { param: 'max_tokens', asked: body.max_tokens ?? null, fallback: defaultMaxTokens };
  const prompts = await readPrompts(given, limits, {
    model,
    owner,
    param: 'prompt',
    room: promptRoom(model, toGenerate),
    addSpecialTokens: body.add_special_tokens ?? true,
    truncateTo: body.truncate_prompt_tokens ?? null,
    toGenerate,
  });
  const givenPrefixes = separatePrefixes(body, prompts.length, model);
  const total = prompts.reduce((sum, { length }) => sum + length, 0);
  // One prefix for all prompts is read once, and counts once for each.
  const shares = givenPrefixes === null ? 1 : prompts.length / givenPrefixes.length;
  const readPrefixes =
    givenPrefixes &&
    (await readPrompts(
      givenPrefixes,
      { ...limits, tokens: Math.floor((limits.tokens - total) / shares) },
      {
        model,
        owner,
        param: 'completion_prefix',
        // The start token takes one place.
        room: model.capacity - 1,
        addSpecialTokens: false,
        truncateTo: null,
        toGenerate,
      },
    ));
  const prefixes = readPrefixes && prompts.map((_, i) => readPrefixes[i % readPrefixes.length]!);
  const logprobs = body.logprobs ?? null;
  const job = await createJob(
    body,
    {
      idPrefix: 'cmpl-',
      prompts,
      prefixes,
      bestOf: body.best_of ?? null,
      maxTokens: (given) => readMaxTokens(toGenerate, given, model),
      // `best_of` chooses by log probability.
      logprobs: logprobs ?? (sequences > (body.n ?? 1) ? 0 : null),
      promptLogprobs,
      grammar: readStructure(readResponseFormat(body.response_format), body.structured_outputs),
      specialTexts: new Map(),
    },
    context,
  );
  const echo = (text: SinglePrompt, i: number) =>
    echoPrompt(text, (readPrefixes ?? prompts)[i]!, model.vocabulary, {
      isWhole: readPrefixes !== null || (body.truncate_prompt_tokens ?? null) === null,
      skipSpecialTokens: body.skip_special_tokens ?? true,
      hasLogprobs: logprobs !== null,
    });
  const echoed = body.echo ? await Promise.all((givenPrefixes ?? given).map(echo)) : null;
  const format = new CompletionFormat(job, {
    echo: echoed && prompts.map((_, i) => echoed[i % echoed.length]!),
    logprobs,
    promptLogprobs: body.prompt_logprobs ?? null,
  });
  return { job, format: new ChunkedAnswer(format, job, body, context.clock) };
}

export function completionsRoute(app: App, dependencies: ServerDependencies, limits: ClientLimits): void {
  generationRoute(app, dependencies, limits, {
    url: '/v1/completions',
    check: checkCompletion,
    create: createCompletion,
    body: CompletionRequestSchema,
    answer: CompletionRef,
    operation: 'text_completion',
    operationId: 'createCompletion',
    summary: 'Complete a prompt',
    description:
      'OpenAI’s completions, with vLLM’s additional sampling parameters. The service refuses unknown fields.',
    stream: chunkStream('{"id":"cmpl-6b1f","choices":[{"index":0,"text":" acknowledged", …}], …}'),
  });
}
