import type { RequestContext } from '../request-context.ts';
import type { Choice, Completion, Usage } from '../schemas/completion-response.ts';
import type { ChoiceDelta } from './choice-deltas.ts';
import type { CompletionJob } from './completion-job.ts';

/** The part of an answer that all its chunks share. */
export function completionHead({ id, created, model }: CompletionJob): Omit<Completion, 'choices' | 'usage'> {
  return {
    id,
    object: 'text_completion',
    created,
    model: model.name,
    system_fingerprint: `fp_${model.manifest.digest.replace(/^sha256:/, '').slice(0, 12)}`,
  };
}

export function completionUsage({ promptTokens }: CompletionJob, { generatedTokens }: RequestContext): Usage {
  const completionTokens = generatedTokens ?? 0;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}

export function choiceOf({ index, text, logprobs, finishReason, stopReason }: ChoiceDelta): Choice {
  return { index, text, logprobs, finish_reason: finishReason, stop_reason: stopReason };
}
