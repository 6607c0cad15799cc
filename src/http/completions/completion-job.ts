import { randomUUID } from 'node:crypto';
import type { GenerationRequest } from '../../engine/generation.ts';
import type { ReadyModel } from '../find-model.ts';
import { readSampling } from '../generation/read-sampling.ts';
import { readStop } from '../generation/read-stop.ts';
import { choiceSeed } from '../generation/seed.ts';
import { invalidRequest } from '../invalid-request.ts';
import type { CompletionRequest } from '../schemas/completion-request.ts';
import type { ServerConfig } from '../server-dependencies.ts';
import { readMaxTokens } from './read-max-tokens.ts';
import { readPrompts } from './read-prompts.ts';

/** A completion to make: the sequences to generate, choice by choice, and what their answer needs. */
export interface CompletionJob {
  /** `cmpl-…` */
  id: string;
  /** Seconds since the epoch. */
  created: number;
  model: ReadyModel;
  /** The choice's index is the place in this list. */
  requests: readonly GenerationRequest[];
  /** Each prompt counted once. */
  promptTokens: number;
}

function checkCombinations(body: CompletionRequest, { maxQueuedRequests }: ServerConfig): void {
  if ((body.n ?? 1) > maxQueuedRequests) {
    throw invalidRequest('n', `\`n\` is ${body.n}; at most ${maxQueuedRequests} choices are taken at once.`);
  }
  if (body.stream_options && !body.stream) {
    throw invalidRequest('stream_options', '`stream_options` goes only with `stream`.');
  }
}

/**
 * @param arrivedAt on the shared clock, ms: deadlines count from it
 * @throws ServiceError `invalid_request` for what the schema cannot tell
 */
export function createCompletionJob(
  body: CompletionRequest,
  model: ReadyModel,
  config: ServerConfig,
  arrivedAt: number,
): CompletionJob {
  checkCombinations(body, config);
  const n = body.n ?? 1;
  const prompts = readPrompts(body.prompt, model, {
    prompts: Math.floor(config.maxQueuedRequests / n),
    tokens: Math.floor(config.maxQueuedTokens / n),
  });
  const sampling = readSampling(body, model.manifest.vocabSize);
  const stop = readStop(body, model.manifest.vocabSize);
  const id = `cmpl-${randomUUID().replaceAll('-', '')}`;
  const requests = prompts.flatMap((promptTokens, prompt) => {
    const maxTokens = readMaxTokens(body.max_tokens ?? null, promptTokens.length, model);
    if (stop.minTokens > maxTokens) {
      throw invalidRequest(
        'min_tokens',
        `\`min_tokens\` is ${stop.minTokens}, more than the ${maxTokens} to generate.`,
      );
    }
    return Array.from({ length: n }, (_, choice) => ({
      id: `${id}-${prompt * n + choice}`,
      model: model.name,
      promptTokens,
      maxTokens,
      sampling: { ...sampling, seed: choiceSeed(body.seed ?? null, choice) },
      stop,
      logprobs: body.logprobs ?? null,
      promptLogprobs: null,
      skipSpecialTokens: body.skip_special_tokens ?? true,
      priority: 0,
      client: '',
      cacheSalt: '',
      arrivedAt,
      queueDeadline: arrivedAt + config.queueTimeoutMs,
      deadline: arrivedAt + config.requestTimeoutMs,
    }));
  });
  const promptTokens = prompts.reduce((sum, tokens) => sum + tokens.length, 0);
  return { id, created: Math.floor(Date.now() / 1000), model, requests, promptTokens };
}
