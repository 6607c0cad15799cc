import type { TokenLogprobs } from '../../sampling/sampled-token.ts';
import { answerHead, type ChoiceDelta, TokenTexts, type Usage } from '../generation/answer-parts.ts';
import type { ChunkFormat } from '../generation/chunked-answer.ts';
import type { GenerationJob } from '../generation/generation-job.ts';
import { Turns, type WrittenJson, writeInTurns, writeListInTurns } from '../json/in-turns.ts';
import type { ChatChoice, ChatCompletion, ChatLogprobs, ToolCall } from './chat-response.ts';
import type { AnswerForm } from './tools/answer-form.ts';
import { type CallPiece, CallReader } from './tools/call-reader.ts';

type ChatHead = ReturnType<typeof answerHead<'chat.completion.chunk'>>;
type WrittenLogprobs = Omit<ChatLogprobs, 'content'> & { content: WrittenJson };
type WrittenChoice = Omit<ChatChoice, 'logprobs'> & { logprobs: WrittenLogprobs | null };
type WrittenCompletion = Omit<ChatCompletion, 'choices'> & { choices: WrittenChoice[] };

/** OpenAI's chat completions, with vLLM's additions. */
export class ChatFormat implements ChunkFormat {
  readonly head: ChatHead;
  readonly #job: GenerationJob;
  readonly #begun = new Set<number>();
  readonly #texts: TokenTexts;
  /** How calls are written; null: the answer has none. */
  readonly #callForm: AnswerForm | null;
  /** The readers of choices that still stream, by index. */
  readonly #readers = new Map<number, CallReader>();

  constructor(job: GenerationJob, callForm: AnswerForm | null) {
    this.head = answerHead(job, 'chat.completion.chunk');
    this.#job = job;
    this.#callForm = callForm;
    this.#texts = new TokenTexts(job.model.vocabulary);
  }

  async whole(choices: readonly ChoiceDelta[], usage: Usage): Promise<WrittenCompletion> {
    const turns = new Turns();
    const written: WrittenChoice[] = [];
    for (const choice of choices) {
      const reader = this.#callForm && new CallReader(this.#callForm);
      const message = reader
        ? gathered([...reader.add(choice.text), ...reader.end()])
        : { content: choice.text };
      written.push({
        message: { role: 'assistant', refusal: null, ...message },
        ...(await this.#ending(choice, reader)),
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
    const reader = this.#readerOf(index);
    const pieces = reader
      ? [...reader.add(text), ...(delta.finishReason ? reader.end() : [])].map(chunkDelta)
      : [];
    if (!reader && text !== '') pieces.push({ content: text });
    const ending = await this.#ending(delta, reader);
    // Log probabilities, token ids and the ending go with the delta's last piece.
    const last = pieces.pop();
    for (const piece of pieces) chunks.push({ index, delta: piece, logprobs: null, finish_reason: null });
    if (last || ending.logprobs || ending.finish_reason || this.#job.givesTokenIds) {
      const empty = ending.finish_reason || reader ? {} : { content: '' };
      chunks.push({ delta: last ?? empty, ...ending, ...this.#tokenIds(delta, isFirst) });
    }
    return Promise.all(chunks.map(async (chunk) => (await writeInTurns(chunk)).toString()));
  }

  #readerOf(index: number): CallReader | null {
    if (!this.#callForm) return null;
    const reader = this.#readers.get(index) ?? new CallReader(this.#callForm);
    this.#readers.set(index, reader);
    return reader;
  }

  async #ending(delta: ChoiceDelta, reader: CallReader | null): Promise<Omit<WrittenChoice, 'message'>> {
    const { index, tokens, logprobs, finishReason, stopReason } = delta;
    return {
      index,
      logprobs: logprobs && (await this.#logprobs(tokens, logprobs)),
      finish_reason: finishReason === 'stop' && reader?.endsWithCall ? 'tool_calls' : finishReason,
      stop_reason: stopReason,
    };
  }

  #tokenIds({ tokens }: ChoiceDelta, isFirst: boolean): Pick<ChatChoice, 'prompt_token_ids' | 'token_ids'> {
    if (!this.#job.givesTokenIds) return {};
    return { ...(isFirst ? { prompt_token_ids: [...this.#job.prompts[0]!] } : {}), token_ids: [...tokens] };
  }

  async #logprobs(tokens: readonly number[], logprobs: readonly TokenLogprobs[]): Promise<WrittenLogprobs> {
    const content = await writeListInTurns(logprobs, (score, i) =>
      JSON.stringify(this.#texts.scored(tokens[i]!, score)),
    );
    return { content, refusal: null };
  }
}

/** A message made of all pieces of an answer. */
function gathered(pieces: readonly CallPiece[]): Pick<ChatChoice['message'], 'content' | 'tool_calls'> {
  const calls: ToolCall[] = [];
  let content = '';
  for (const piece of pieces) {
    if (piece.type === 'text') content += piece.text;
    else if (piece.type === 'arguments') calls[piece.index]!.function.arguments += piece.text;
    else calls.push({ id: piece.id, type: 'function', function: { name: piece.name, arguments: '' } });
  }
  return calls.length === 0 ? { content } : { content: content === '' ? null : content, tool_calls: calls };
}

/** A piece as the `delta` of a chunk. A call begins with its id, its name and empty arguments. */
function chunkDelta(piece: CallPiece): object {
  switch (piece.type) {
    case 'text':
      return { content: piece.text };
    case 'arguments':
      return { tool_calls: [{ index: piece.index, function: { arguments: piece.text } }] };
    case 'call': {
      const { index, id, name } = piece;
      return { tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] };
    }
  }
}
