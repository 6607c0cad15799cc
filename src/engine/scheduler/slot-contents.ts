import type { GenerationRequest } from '../protocol/generation.ts';

/** What a slot's keys and values were computed from. */
export interface SlotContent {
  tokens: readonly number[];
  salt: string;
  /** Tokens that have been computed; of an encoder's prompt all or none. */
  filled: number;
  /** How many of `tokens`, from the first on, are computed in whole chunks: to the last bit as in every other prompt. */
  exact: number;
  /** Its request still runs, so all of `tokens` will be there. */
  isLive: boolean;
  /** Larger: later. */
  usedAt: number;
}

/** A part of a prompt that another slot holds, or is about to. */
export interface SharedPrefix {
  content: SlotContent;
  length: number;
}

type Prompt = Pick<GenerationRequest, 'promptTokens' | 'cacheSalt' | 'promptLogprobs' | 'isReproducible'>;

/** Fewer tokens of a decoder's prompt are computed as fast as they are copied. */
const fewestShared = 16;

/**
 * What the slots of a model hold, finished requests' included, until it is written over: a prompt that begins as one
 * that is there does not have to be computed again.
 */
export class SlotContents {
  readonly #contents: (SlotContent | null)[];
  readonly #chunk: number | null;
  #uses = 0;

  /** @param chunk tokens that a decoder computes of a prompt at a time; null: the model has an encoder */
  constructor(slots: number, chunk: number | null) {
    this.#contents = new Array(slots).fill(null);
    this.#chunk = chunk;
  }

  at(slot: number): SlotContent | null {
    return this.#contents[slot] ?? null;
  }

  slotOf(content: SlotContent): number | null {
    const slot = this.#contents.indexOf(content);
    return slot < 0 ? null : slot;
  }

  /** A request has got `slot`. */
  begin(slot: number, { promptTokens, cacheSalt, promptLogprobs, isReproducible }: Prompt): SlotContent {
    const content: SlotContent = {
      tokens: promptTokens,
      salt: cacheSalt,
      filled: 0,
      exact: isReproducible && promptLogprobs === null ? this.#wholeChunks(promptTokens.length) : 0,
      isLive: true,
      usedAt: ++this.#uses,
    };
    this.#contents[slot] = content;
    return content;
  }

  /** The first `length` tokens of `content` are those of `source`. */
  takenOver(content: SlotContent, source: SlotContent, length: number): void {
    content.exact = Math.max(content.exact, Math.min(source.exact, this.#wholeChunks(length)));
  }

  /** The tokens of `content` from `start` to `end` are to be computed at once. */
  toCompute(content: SlotContent, start: number, end: number): void {
    if (start === content.exact && end - start === this.#chunk) content.exact = end;
  }

  /** The request is done; what it leaves stays until the slot is used again. */
  end(content: SlotContent, tokens: readonly number[], filled: number): void {
    Object.assign(content, { tokens, filled, isLive: false, usedAt: ++this.#uses });
    if (filled === 0) this.drop(content);
  }

  /** Nothing is known of the slot any more. */
  drop(content: SlotContent): void {
    const slot = this.slotOf(content);
    if (slot !== null) this.#contents[slot] = null;
  }

  /** A slot has been copied over another. The copy is the original from now on; what it leaves is as good. */
  copied(from: number, to: number): void {
    const content = this.#contents[from]!;
    this.#contents[to] = content;
    this.#contents[from] = { ...content, isLive: false, usedAt: 0 };
  }

  /** Of `slots`, the one whose content is missed least. */
  oldest(slots: readonly number[]): number {
    const usedAt = (slot: number) => this.#contents[slot]?.usedAt ?? 0;
    return slots.reduce((oldest, slot) => (usedAt(slot) < usedAt(oldest) ? slot : oldest));
  }

  /**
   * The longest beginning of a prompt that is worth taking over; what is there already before what will be.
   * @param own the content of its slot, once it has one; what others are still to compute is waited for only by those
   *   that came after them, so that no two wait for each other
   */
  find(prompt: Prompt, own: SlotContent | null = null): SharedPrefix | null {
    let best: SharedPrefix | null = null;
    let mostWorth = 0;
    for (const content of this.#contents) {
      if (content === null || content === own || content.salt !== prompt.cacheSalt) continue;
      const length = this.#sharedLength(prompt, content);
      const isThere = content.filled >= length;
      if (length === 0 || (!isThere && own !== null && content.usedAt > own.usedAt)) continue;
      const worth = length + (isThere ? fewestShared : 0);
      if (worth < mostWorth || (worth === mostWorth && content.usedAt > best!.content.usedAt)) continue;
      best = { content, length };
      mostWorth = worth;
    }
    return best;
  }

  /** Whether what `slot` holds could be of use, and no other has it. */
  isWorthKeeping(slot: number): boolean {
    const own = this.#contents[slot];
    if (!own || (this.#chunk !== null && own.filled < fewestShared)) return false;
    return !this.#contents.some((other, at) => at !== slot && other !== null && covers(other, own));
  }

  #sharedLength({ promptTokens, promptLogprobs, isReproducible }: Prompt, content: SlotContent): number {
    // Tokens to be scored have to be computed; an encoder's never are scored.
    if (promptLogprobs !== null && this.#chunk !== null) return 0;
    const { length } = promptTokens;
    const there = content.isLive ? content.tokens.length : content.filled;
    const shared = commonLength(promptTokens, content.tokens, Math.min(length, there));
    if (this.#chunk === null) return shared === length && length === content.tokens.length ? length : 0;
    // The last token is computed in any case, since its logits choose what follows it; by itself it would come out different.
    const useful = isReproducible
      ? this.#wholeChunks(Math.min(shared, length - 1, content.exact))
      : Math.min(shared, length - 2);
    return useful >= fewestShared ? useful : 0;
  }

  #wholeChunks(length: number): number {
    return this.#chunk === null ? length : length - (length % this.#chunk);
  }
}

function covers(other: SlotContent, own: SlotContent): boolean {
  return (
    other.salt === own.salt &&
    other.filled >= own.filled &&
    other.exact >= own.exact &&
    commonLength(own.tokens, other.tokens, own.filled) === own.filled
  );
}

function commonLength(a: readonly number[], b: readonly number[], most: number): number {
  let length = 0;
  while (length < most && a[length] === b[length]) length += 1;
  return length;
}
