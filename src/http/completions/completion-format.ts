import { type AnswerFormat, answerHead } from '../generation/answer-format.ts';
import type { ChoiceDelta } from '../generation/choice-deltas.ts';
import type { GenerationJob } from '../generation/generation-job.ts';
import type { Usage } from '../schemas/answer-parts.ts';
import type { Completion, CompletionChoice, CompletionLogprobs } from '../schemas/completion-response.ts';
import { LogprobsWriter } from './logprobs-writer.ts';
import { promptLogprobsById } from './prompt-logprobs-by-id.ts';

export interface CompletionFormatOptions {
  /** Each prompt's text, where choices begin with it. */
  echo: readonly string[] | null;
  /** Alternatives to report with each token; null: no log probabilities. */
  logprobs: number | null;
  /** The same for the prompt's tokens, apart. */
  promptLogprobs: number | null;
}

/** OpenAI's completions, with vLLM's additions. */
export class CompletionFormat implements AnswerFormat {
  readonly head: Omit<Completion, 'choices' | 'usage'>;
  readonly #job: GenerationJob;
  readonly #options: CompletionFormatOptions;
  /** By choice; those that have begun. */
  readonly #writers = new Map<number, LogprobsWriter>();

  constructor(job: GenerationJob, options: CompletionFormatOptions) {
    this.head = answerHead(job, 'text_completion');
    this.#job = job;
    this.#options = options;
  }

  whole(choices: readonly ChoiceDelta[], usage: Usage): Completion {
    return { ...this.head, choices: choices.map((choice) => this.#choice(choice)), usage };
  }

  choices(delta: ChoiceDelta): string[] {
    const choice = this.#choice(delta);
    const isEmpty = choice.text === '' && choice.logprobs === null && choice.finish_reason === null;
    return isEmpty && !this.#job.givesTokenIds ? [] : [JSON.stringify(choice)];
  }

  #choice(delta: ChoiceDelta): CompletionChoice {
    const { index, text, tokens, finishReason, stopReason } = delta;
    const prompt = Math.floor(index / this.#job.n);
    const isFirst = !this.#writers.has(index);
    const choice: CompletionChoice = {
      index,
      text: isFirst && this.#options.echo ? this.#options.echo[prompt]! + text : text,
      logprobs: this.#logprobs(delta, prompt),
      finish_reason: finishReason,
      stop_reason: stopReason,
    };
    if (this.#options.promptLogprobs !== null && delta.promptLogprobs) {
      choice.prompt_logprobs = promptLogprobsById(
        this.#job.prompts[prompt]!,
        delta.promptLogprobs,
        this.#options.promptLogprobs,
        this.#job.model.tokenizer,
      );
    }
    if (this.#job.givesTokenIds) {
      if (isFirst) choice.prompt_token_ids = [...this.#job.prompts[prompt]!];
      choice.token_ids = [...tokens];
    }
    return choice;
  }

  #logprobs(
    { index, tokens, logprobs, promptLogprobs }: ChoiceDelta,
    prompt: number,
  ): CompletionLogprobs | null {
    const writer = this.#writers.get(index) ?? this.#newWriter(index);
    if (this.#options.logprobs === null) return null;
    const echoed = this.#options.echo !== null && promptLogprobs !== null;
    if (!echoed && !logprobs) return null;
    return writer.write(
      [...(echoed ? this.#job.prompts[prompt]! : []), ...(logprobs ? tokens : [])],
      [...(echoed ? promptLogprobs : []), ...(logprobs ?? [])],
    );
  }

  #newWriter(index: number): LogprobsWriter {
    const { model, requests } = this.#job;
    const writer = new LogprobsWriter(model.tokenizer, {
      alternatives: this.#options.logprobs ?? 0,
      skipSpecialTokens: requests[0]!.skipSpecialTokens,
      // Where the completion goes on with the prompt, its first token is not the first of the text.
      startsText: this.#options.echo !== null || model.manifest.specialTokens.decoderStart !== null,
    });
    this.#writers.set(index, writer);
    return writer;
  }
}
