import type { CallPiece } from '../chat/tools/call-reader.ts';
import type { TokenLogprob } from '../generation/answer-parts.ts';
import type { FunctionCall, OutputItem, OutputMessage, OutputText } from './response-object.ts';
import { newItemId } from './stored-items.ts';

/** An event of a stream without its number. */
export type EventBody = { type: string } & Record<string, unknown>;

/** The items of an answer as they grow, and the events that say so. */
export class OutputItems {
  readonly items: OutputItem[] = [];
  /** Log probabilities of tokens whose text has not come yet. */
  #scores: TokenLogprob[] = [];

  /** Adds the next pieces. @param scores the log probabilities of the tokens that brought them */
  add(pieces: readonly CallPiece[], scores: readonly TokenLogprob[]): EventBody[] {
    this.#scores.push(...scores);
    return pieces.flatMap((piece) => this.#addPiece(piece));
  }

  /** Ends the last item. An answer without items gets an empty message, so that it has a text. */
  end(status: 'completed' | 'incomplete'): EventBody[] {
    const last = this.items.at(-1);
    // The token that ends a message has no text.
    const isOpenMessage = last?.type !== 'function_call' && this.#scores.length > 0;
    const rest = isOpenMessage || !last ? this.#addText('') : [];
    return [...rest, ...this.#close(status)];
  }

  /** Marks the last item as cut off. */
  cut(): void {
    const last = this.items.at(-1);
    if (last?.status === 'in_progress') last.status = 'incomplete';
  }

  #addPiece(piece: CallPiece): EventBody[] {
    switch (piece.type) {
      case 'text':
        return this.#addText(piece.text);
      case 'call':
        return this.#addCall(piece.id, piece.name);
      case 'arguments':
        return this.#addArguments(piece.text);
    }
  }

  #addText(text: string): EventBody[] {
    const events: EventBody[] = [];
    let message = this.items.at(-1);
    if (message?.type !== 'message') {
      const opened: OutputMessage = {
        type: 'message',
        id: newItemId('msg'),
        role: 'assistant',
        status: 'in_progress',
        content: [],
      };
      events.push(...this.#open(opened));
      const part: OutputText = { type: 'output_text', text: '', annotations: [], logprobs: [] };
      opened.content.push(part);
      events.push({
        type: 'response.content_part.added',
        ...this.#partPlace,
        part: { ...part, logprobs: [] },
      });
      message = opened;
    }
    const [part] = message.content;
    part!.text += text;
    part!.logprobs.push(...this.#scores);
    const scores = this.#scores;
    this.#scores = [];
    if (text !== '' || scores.length > 0)
      events.push({ type: 'response.output_text.delta', ...this.#partPlace, delta: text, logprobs: scores });
    return events;
  }

  #addCall(callId: string, name: string): EventBody[] {
    const call: FunctionCall = {
      type: 'function_call',
      id: newItemId('fc'),
      call_id: callId,
      name,
      arguments: '',
      status: 'in_progress',
    };
    return [...this.#close('completed'), ...this.#open(call)];
  }

  #addArguments(delta: string): EventBody[] {
    // Log probabilities are those of text.
    this.#scores = [];
    (this.items.at(-1) as FunctionCall).arguments += delta;
    return [{ type: 'response.function_call_arguments.delta', ...this.#place, delta }];
  }

  #open(item: OutputItem): EventBody[] {
    const { length: index } = this.items;
    this.items.push(item);
    return [{ type: 'response.output_item.added', output_index: index, item: structuredClone(item) }];
  }

  #close(status: 'completed' | 'incomplete'): EventBody[] {
    const item = this.items.at(-1);
    if (!item) return [];
    this.#scores = [];
    item.status = status;
    const done = { type: 'response.output_item.done', output_index: this.items.length - 1, item };
    if (item.type === 'function_call') {
      const { arguments: json } = item;
      return [{ type: 'response.function_call_arguments.done', ...this.#place, arguments: json }, done];
    }
    const [part] = item.content;
    const { text, logprobs } = part!;
    return [
      { type: 'response.output_text.done', ...this.#partPlace, text, logprobs },
      { type: 'response.content_part.done', ...this.#partPlace, part },
      done,
    ];
  }

  get #place() {
    return { item_id: this.items.at(-1)!.id, output_index: this.items.length - 1 };
  }

  get #partPlace() {
    return { ...this.#place, content_index: 0 };
  }
}
