import type { RequestContext } from '../request-context.ts';
import type { Choice, Completion } from '../schemas/completion-response.ts';
import type { ChoiceDelta } from './choice-deltas.ts';
import { completionHead, completionUsage } from './completion-body.ts';
import type { CompletionJob } from './completion-job.ts';

function append(choice: Choice, { text, logprobs, finishReason, stopReason }: ChoiceDelta): void {
  choice.text += text;
  choice.finish_reason ??= finishReason;
  choice.stop_reason ??= stopReason;
  if (!logprobs) return;
  choice.logprobs ??= { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  choice.logprobs.tokens.push(...logprobs.tokens);
  choice.logprobs.token_logprobs.push(...logprobs.token_logprobs);
  choice.logprobs.top_logprobs.push(...logprobs.top_logprobs);
  choice.logprobs.text_offset.push(...logprobs.text_offset);
}

/** Waits for all choices and puts them in one answer. */
export async function wholeCompletion(
  deltas: AsyncIterable<ChoiceDelta>,
  job: CompletionJob,
  context: RequestContext,
): Promise<Completion> {
  const choices = job.requests.map(
    (_, index): Choice => ({ index, text: '', logprobs: null, finish_reason: null, stop_reason: null }),
  );
  for await (const delta of deltas) append(choices[delta.index]!, delta);
  return { ...completionHead(job), choices, usage: completionUsage(job, context) };
}
