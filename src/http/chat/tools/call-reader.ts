import { randomBytes } from 'node:crypto';
import { type AnswerForm, asShown } from './answer-form.ts';
import { type ArgumentsReader, EscapedReader, JsonReader } from './arguments-reader.ts';

/** The next part of an answer: text, the beginning of a call, or more of the last call's arguments. */
export type CallPiece =
  | { type: 'text'; text: string }
  | { type: 'call'; index: number; id: string; name: string }
  | { type: 'arguments'; index: number; text: string };

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** As OpenAI's: `call_` and 24 random characters. */
const callId = () => `call_${Array.from(randomBytes(24), (byte) => letters[byte % letters.length]).join('')}`;

/** Separates the text and the calls of one choice as it is generated. No part of a call ever becomes text. */
export class CallReader {
  readonly #form: AnswerForm;
  /** Text that waits for more, because it may be the beginning of the next part. */
  #held = '';
  /** `free`: no call can begin any more; `open`: before a call's name; `arguments`; `after`: behind its arguments. */
  #state: 'text' | 'free' | 'open' | 'arguments' | 'after' = 'text';
  /** What comes before the next name. */
  #beforeName: string;
  #arguments: ArgumentsReader = new JsonReader();
  #calls = 0;

  constructor(form: AnswerForm) {
    this.#form = form;
    this.#beforeName = form.open.slice(form.trigger.length);
  }

  /** The answer ends with a complete call. */
  get endsWithCall(): boolean {
    return this.#state === 'after';
  }

  add(text: string): CallPiece[] {
    this.#held += text;
    const pieces: CallPiece[] = [];
    while (this.#advance(pieces)) {}
    return pieces;
  }

  /** What is held back at the end of the answer. The beginning of a call is dropped. */
  end(): CallPiece[] {
    const text = this.#held;
    this.#held = '';
    return this.#state === 'text' ? this.#shown(text) : [];
  }

  #shown(text: string): CallPiece[] {
    const shown = asShown(text, this.#form);
    return shown === '' ? [] : [{ type: 'text', text: shown }];
  }

  /** Reads one part from the held text. @returns whether there may be another */
  #advance(pieces: CallPiece[]): boolean {
    switch (this.#state) {
      case 'text':
        return this.#readText(pieces);
      case 'free':
        pieces.push(...this.#shown(this.#held));
        this.#held = '';
        return false;
      case 'open':
        return this.#readName(pieces);
      case 'arguments':
        return this.#readArguments(pieces);
      case 'after': {
        const { between } = this.#form;
        if (between === null || !this.#held.startsWith(between)) return false;
        this.#held = this.#held.slice(between.length);
        this.#beforeName = '';
        this.#state = 'open';
        return true;
      }
    }
  }

  #readText(pieces: CallPiece[]): boolean {
    const { trigger, isAtStart } = this.#form;
    if (isAtStart && !this.#held.startsWith(trigger) && !trigger.startsWith(this.#held)) {
      this.#state = 'free';
      return true;
    }
    const at = this.#held.indexOf(trigger);
    // Space before a call is part of how it is written.
    const end = at < 0 ? this.#held.length - this.#openLength() : this.#held.slice(0, at).trimEnd().length;
    pieces.push(...this.#shown(this.#held.slice(0, end)));
    this.#held = this.#held.slice(at < 0 ? end : at + trigger.length);
    if (at >= 0) this.#state = 'open';
    return at >= 0;
  }

  /** Length of the end of the held text that may belong to a call. */
  #openLength(): number {
    const { trigger } = this.#form;
    let open = Math.min(this.#held.length, trigger.length - 1);
    while (open > 0 && !trigger.startsWith(this.#held.slice(-open))) open--;
    return this.#held.length - this.#held.slice(0, this.#held.length - open).trimEnd().length;
  }

  #readName(pieces: CallPiece[]): boolean {
    const { middle, style, quote } = this.#form;
    const end = this.#held.indexOf(middle, this.#beforeName.length + 1);
    if (end < 0) return false;
    const name = this.#held.slice(this.#beforeName.length, end);
    pieces.push({ type: 'call', index: this.#calls, id: callId(), name });
    this.#calls += 1;
    this.#held = this.#held.slice(end + middle.length);
    this.#arguments = style === 'json' ? new JsonReader() : new EscapedReader(quote);
    this.#state = 'arguments';
    return true;
  }

  #readArguments(pieces: CallPiece[]): boolean {
    const { json, rest } = this.#arguments.add(this.#held);
    if (json !== '') pieces.push({ type: 'arguments', index: this.#calls - 1, text: json });
    this.#held = rest ?? '';
    if (rest === null) return false;
    this.#state = 'after';
    return true;
  }
}
