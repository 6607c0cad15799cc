import type { PromptTokenLogprobs } from '../../sampling/sampled-token.ts';
import { answerHead, type ChoiceDelta, finite, TokenTexts, type Usage } from '../generation/answer-parts.ts';
import type { ChunkFormat } from '../generation/chunked-answer.ts';
import type { GenerationJob } from '../generation/generation-job.ts';
import { Turns, type WrittenJson, writeInTurns, writeListInTurns } from '../json/in-turns.ts';
import type { Completion, CompletionChoice } from './completion-response.ts';
import type { EchoedPrompt } from './echoed-prompt.ts';
import { LogprobsWriter, type WrittenLogprobs } from './logprobs-writer.ts';

type WrittenChoice = Omit<CompletionChoice, 'logprobs' | 'prompt_logprobs'> & {
  logprobs: WrittenLogprobs | null;
  prompt_logprobs?: WrittenJson;
};
type WrittenCompletion = Omit<Completion, 'choices'> & { choices: WrittenChoice[] };

interface CompletionFormatOptions {
  /** By prompt, the text that its choices begin with; null: no echo. */
  echo: readonly EchoedPrompt[] | null;
  /** Alternatives to report with each token; null: no log probabilities. */
  logprobs: number | null;
  /** The same for the prompt's tokens, in a separate field. */
  promptLogprobs: number | null;
}

/** OpenAI's completions, with vLLM's additions. */
export class CompletionFormat implements ChunkFormat {
  readonly head: Omit<Completion, 'choices' | 'usage'>;
  readonly #job: GenerationJob;
  readonly #options: CompletionFormatOptions;
  readonly #texts: TokenTexts;
  /** By choice, for choices that have begun. */
  readonly #writers = new Map<number, LogprobsWriter>();

  constructor(job: GenerationJob, options: CompletionFormatOptions) {
    this.head = answerHead(job, 'text_completion');
    this.#job = job;
    this.#options = options;
    this.#texts = new TokenTexts(job.model.vocabulary);
  }

  async whole(choices: readonly ChoiceDelta[], usage: Usage): Promise<WrittenCompletion> {
    const turns = new Turns();
    const written: WrittenChoice[] = [];
    for (const choice of choices) {
      written.push(await this.#choice(choice));
      await turns.next();
    }
    return { ...this.head, choices: written, usage };
  }

  async choices(delta: ChoiceDelta): Promise<string[]> {
    const choice = await this.#choice(delta);
    const isEmpty = choice.text === '' && choice.logprobs === null && choice.finish_reason === null;
    return isEmpty && !this.#job.givesTokenIds ? [] : [(await writeInTurns(choice)).toString()];
  }

  async #choice(delta: ChoiceDelta): Promise<WrittenChoice> {
    const { index, text, tokens, finishReason, stopReason } = delta;
    const prompt = Math.floor(index / this.#job.n);
    const isFirst = !this.#writers.has(index);
    const choice: WrittenChoice = {
      index,
      text: isFirst && this.#options.echo ? this.#options.echo[prompt]!.text + text : text,
      logprobs: await this.#logprobs(delta, prompt),
      finish_reason: finishReason,
      stop_reason: stopReason,
    };
    if (this.#options.promptLogprobs !== null && delta.promptLogprobs) {
      choice.prompt_logprobs = await promptLogprobsById(
        this.#job.prompts[prompt]!,
        delta.promptLogprobs,
        this.#options.promptLogprobs,
        this.#texts,
      );
    }
    if (this.#job.givesTokenIds) {
      if (isFirst) choice.prompt_token_ids = [...this.#job.prompts[prompt]!];
      choice.token_ids = [...tokens];
    }
    return choice;
  }

  async #logprobs(
    { index, tokens, logprobs, promptLogprobs }: ChoiceDelta,
    prompt: number,
  ): Promise<WrittenLogprobs | null> {
    const writer = this.#writers.get(index) ?? this.#newWriter(index);
    if (this.#options.logprobs === null) return null;
    const echoed = promptLogprobs === null ? undefined : this.#options.echo?.[prompt];
    if (!echoed && !logprobs) return null;
    return writer.write(
      { tokens: logprobs ? tokens : [], logprobs: logprobs ?? [] },
      echoed && { tokens: echoed.tokens, logprobs: promptLogprobs!, prompt: echoed },
    );
  }

  #newWriter(index: number): LogprobsWriter {
    const { model, requests } = this.#job;
    const writer = new LogprobsWriter(model.vocabulary, this.#texts, {
      alternatives: this.#options.logprobs ?? 0,
      skipSpecialTokens: requests[0]!.skipSpecialTokens,
      startsText:
        model.manifest.specialTokens.decoderStart !== null && requests[0]!.completionPrefix.length === 0,
    });
    this.#writers.set(index, writer);
    return writer;
  }
}

/**
 * The prompt's log probabilities in vLLM's form: by token id, the prompt's own token first.
 * @param alternatives how many of the most likely tokens to list next to the prompt's own
 */
function promptLogprobsById(
  tokens: readonly number[],
  scores: readonly (PromptTokenLogprobs | null)[],
  alternatives: number,
  texts: TokenTexts,
): Promise<WrittenJson> {
  const entry = (token: number, logprob: number, rank: number) =>
    `"${token}":${JSON.stringify({ logprob: finite(logprob), rank, decoded_token: texts.of(token) })}`;
  return writeListInTurns(scores, (score, i) => {
    if (score === null) return 'null';
    const own = tokens[i]!;
    const entries = [entry(own, score.logprob, score.rank)];
    for (const [place, { token, logprob }] of score.top.slice(0, alternatives).entries()) {
      if (token !== own) entries.push(entry(token, logprob, place + 1));
    }
    return `{${entries.join()}}`;
  });
}
