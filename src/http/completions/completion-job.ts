import { clientQueueLimit } from '../../engine/admission.ts';
import type { ReadyModel } from '../find-model.ts';
import {
  createJob,
  type GenerationJob,
  type JobContext,
  sequencesPerPrompt,
} from '../generation/generation-job.ts';
import { readMaxTokens } from '../generation/read-max-tokens.ts';
import { promptRoom } from '../generation/read-prompt.ts';
import { invalidRequest } from '../invalid-request.ts';
import type { CompletionRequest } from '../schemas/completion-request.ts';
import { CompletionFormat } from './completion-format.ts';
import { echoPrompt } from './echoed-prompt.ts';
import { readPrompts, type SinglePrompt, separatePrompts } from './read-prompts.ts';

const defaultMaxTokens = 16;

/** How many alternatives to report with the tokens that the decoder is given; null: none are asked for. */
function readPromptLogprobs(body: CompletionRequest, { name, manifest }: ReadyModel): number | null {
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
      '`prompt_logprobs` does not go with `stream`; use `echo` and `logprobs`.',
    );
  }
  if (manifest.graphs.encoder && (apart !== null || prefix === null)) {
    const asked = apart === null ? '`echo` with `logprobs`' : '`prompt_logprobs`';
    throw invalidRequest(
      apart === null ? 'echo' : 'prompt_logprobs',
      `${asked} is not supported: '${name}' is an encoder-decoder model, which gives no probabilities for its prompt; with \`completion_prefix\`, \`echo\` and \`logprobs\` give those of the prefix.`,
    );
  }
  return Math.max(apart ?? 0, echoed ?? 0);
}

/** What the completion of each prompt begins with; null where nothing is given. @throws ServiceError `invalid_request` */
function separatePrefixes(
  body: CompletionRequest,
  prompts: number,
  model: ReadyModel,
): SinglePrompt[] | null {
  const { completion_prefix: prefix = null } = body;
  if (prefix === null) return null;
  const refuse = (message: string) => invalidRequest('completion_prefix', message);
  if (!model.manifest.graphs.encoder) {
    throw refuse(
      `\`completion_prefix\` is for encoder-decoder models; '${model.name}' goes on from the end of its \`prompt\`.`,
    );
  }
  const isList = typeof prefix !== 'string' && typeof prefix[0] !== 'number';
  const prefixes = separatePrompts(prefix);
  if (!isList) return Array<SinglePrompt>(prompts).fill(prefixes[0]!);
  if (prefixes.length === prompts) return prefixes;
  throw refuse(
    `\`completion_prefix\` is a list of ${prefixes.length}; there ${prompts === 1 ? 'is 1 prompt' : `are ${prompts} prompts`}.`,
  );
}

/** @throws ServiceError `invalid_request` for what the schema cannot tell */
export async function createCompletion(
  body: CompletionRequest,
  context: JobContext,
): Promise<{ job: GenerationJob; format: CompletionFormat }> {
  const { model, config, owner } = context;
  if (body.max_tokens === 0 && !body.echo && (body.prompt_logprobs ?? null) === null) {
    throw invalidRequest('max_tokens', '`max_tokens` of 0 goes only with `echo` or `prompt_logprobs`.');
  }
  const promptLogprobs = readPromptLogprobs(body, model);
  const sequences = sequencesPerPrompt(body, body.best_of ?? null, config);
  const given = separatePrompts(body.prompt);
  const most = clientQueueLimit(config);
  const limits = {
    prompts: Math.floor(most.requests / sequences),
    tokens: Math.floor(most.tokens / sequences),
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
  const prefixes =
    givenPrefixes &&
    (await readPrompts(
      givenPrefixes,
      { ...limits, tokens: limits.tokens - prompts.reduce((sum, { length }) => sum + length, 0) },
      {
        model,
        owner,
        param: 'completion_prefix',
        // The start token comes before it.
        room: model.capacity - 1,
        addSpecialTokens: false,
        truncateTo: null,
        toGenerate,
      },
    ));
  const logprobs = body.logprobs ?? null;
  const job = await createJob(
    body,
    {
      idPrefix: 'cmpl',
      prompts,
      prefixes,
      bestOf: body.best_of ?? null,
      maxTokens: (given) => readMaxTokens(toGenerate, given, model),
      // The best are chosen by them.
      logprobs: logprobs ?? (sequences > (body.n ?? 1) ? 0 : null),
      promptLogprobs,
    },
    context,
  );
  const echo = (text: SinglePrompt, i: number) =>
    echoPrompt(text, (prefixes ?? prompts)[i]!, model.vocabulary, {
      isWhole: (body.truncate_prompt_tokens ?? null) === null,
      skipSpecialTokens: body.skip_special_tokens ?? true,
      hasLogprobs: logprobs !== null,
    });
  const format = new CompletionFormat(job, {
    echo: body.echo ? await Promise.all((givenPrefixes ?? given).map(echo)) : null,
    logprobs,
    promptLogprobs: body.prompt_logprobs ?? null,
  });
  return { job, format };
}
