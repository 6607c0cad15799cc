import type { TokenLogprobs } from '../../sampling/sampled-token.ts';
import {
  type AnswerFormat,
  answerHead,
  type ChoiceDelta,
  finite,
  TokenTexts,
  type Usage,
} from '../generation/answer-parts.ts';
import type { GenerationJob } from '../generation/generation-job.ts';
import { Turns, type WrittenJson, writeInTurns, writeListInTurns } from '../json/in-turns.ts';
import type { ChatChoice, ChatCompletion, ChatLogprobs } from './chat-response.ts';

type ChatHead = ReturnType<typeof answerHead<'chat.completion.chunk'>>;
type WrittenLogprobs = Omit<ChatLogprobs, 'content'> & { content: WrittenJson };
type WrittenChoice = Omit<ChatChoice, 'logprobs'> & { logprobs: WrittenLogprobs | null };
type WrittenCompletion = Omit<ChatCompletion, 'choices'> & { choices: WrittenChoice[] };

/** OpenAI's chat completions, with vLLM's additions. */
export class ChatFormat implements AnswerFormat {
  readonly head: ChatHead;
  readonly #job: GenerationJob;
  readonly #begun = new Set<number>();
  readonly #texts: TokenTexts;

  constructor(job: GenerationJob) {
    this.head = answerHead(job, 'chat.completion.chunk');
    this.#job = job;
    this.#texts = new TokenTexts(job.model.vocabulary);
  }

  async whole(choices: readonly ChoiceDelta[], usage: Usage): Promise<WrittenCompletion> {
    const turns = new Turns();
    const written: WrittenChoice[] = [];
    for (const choice of choices) {
      written.push({
        message: { role: 'assistant', content: choice.text, refusal: null },
        ...(await this.#ending(choice)),
        ...this.#tokenIds(choice, true),
      });
      await turns.next();
    }
    return { ...answerHead(this.#job, 'chat.completion'), choices: written, usage };
  }

  /** The first chunk of a choice contains only its role. */
  async choices(delta: ChoiceDelta): Promise<string[]> {
    const { index, text } = delta;
    const chunks: object[] = [];
    const isFirst = !this.#begun.has(index);
    if (isFirst) {
      this.#begun.add(index);
      const start = { index, delta: { role: 'assistant', content: '', refusal: null } };
      chunks.push({ ...start, logprobs: null, finish_reason: null });
    }
    const ending = await this.#ending(delta);
    if (text !== '' || ending.logprobs || ending.finish_reason || this.#job.givesTokenIds) {
      const content = text === '' && ending.finish_reason ? {} : { content: text };
      chunks.push({ delta: content, ...ending, ...this.#tokenIds(delta, isFirst) });
    }
    return Promise.all(chunks.map(async (chunk) => (await writeInTurns(chunk)).toString()));
  }

  async #ending(delta: ChoiceDelta): Promise<Omit<WrittenChoice, 'message'>> {
    const { index, tokens, logprobs, finishReason, stopReason } = delta;
    return {
      index,
      logprobs: logprobs && (await this.#logprobs(tokens, logprobs)),
      finish_reason: finishReason,
      stop_reason: stopReason,
    };
  }

  #tokenIds({ tokens }: ChoiceDelta, isFirst: boolean): Pick<ChatChoice, 'prompt_token_ids' | 'token_ids'> {
    if (!this.#job.givesTokenIds) return {};
    return { ...(isFirst ? { prompt_token_ids: [...this.#job.prompts[0]!] } : {}), token_ids: [...tokens] };
  }

  async #logprobs(tokens: readonly number[], logprobs: readonly TokenLogprobs[]): Promise<WrittenLogprobs> {
    const entry = (token: number, logprob: number) => ({
      token: this.#texts.of(token),
      bytes: [...this.#job.model.vocabulary.tokenBytes(token)],
      logprob: finite(logprob),
    });
    const content = await writeListInTurns(logprobs, ({ logprob, top }, i) =>
      JSON.stringify({
        ...entry(tokens[i]!, logprob),
        top_logprobs: top.map((other) => entry(other.token, other.logprob)),
      } satisfies ChatLogprobs['content'][number]),
    );
    return { content, refusal: null };
  }
}
