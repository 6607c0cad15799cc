import { createParser } from 'eventsource-parser';

interface Chunk {
  choices?: {
    text?: string | null;
    delta?: { content?: string | null; reasoning_content?: string | null };
  }[];
  usage?: { prompt_tokens: number; completion_tokens: number } | null;
  error?: { code?: string | number | null; type?: string; message?: string };
}

/** Parses a streamed answer of either endpoint as it arrives, and records when content came. */
export class StreamAnswer {
  firstContentAt: number | null = null;
  lastContentAt: number | null = null;
  readonly gapsMs: number[] = [];
  usage: { promptTokens: number; outputTokens: number } | null = null;
  /** Code of an error event. */
  errorCode: string | null = null;
  isDone = false;
  readonly #decoder = new TextDecoder();
  readonly #parser = createParser({ onEvent: ({ data }) => this.#event(data) });
  #now = 0;

  /** @param now when the bytes arrived */
  feed(bytes: Uint8Array, now: number): void {
    this.#now = now;
    this.#parser.feed(this.#decoder.decode(bytes, { stream: true }));
  }

  #event(data: string): void {
    if (data === '[DONE]') {
      this.isDone = true;
      return;
    }
    const { choices = [], usage, error }: Chunk = JSON.parse(data);
    if (error) this.errorCode = String(error.code ?? error.type ?? 'unknown');
    if (usage) this.usage = { promptTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens };
    const hasContent = choices.some(
      ({ text, delta }) => (text ?? delta?.content ?? delta?.reasoning_content ?? '') !== '',
    );
    if (!hasContent) return;
    if (this.lastContentAt !== null) this.gapsMs.push(this.#now - this.lastContentAt);
    this.firstContentAt ??= this.#now;
    this.lastContentAt = this.#now;
  }
}
