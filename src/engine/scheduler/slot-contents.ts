import type { GenerationRequest } from '../protocol/generation.ts';

/** The tokens that a slot's keys and values were computed from. */
export interface SlotContent {
  tokens: readonly number[];
  salt: string;
  /** Tokens computed so far; for an encoder's prompt all or none. */
  filled: number;
  /** Number of leading tokens computed in whole chunks, so that they are bit-identical in every prompt. */
  exact: number;
  /** Layers with a window may hold nothing that only queries before this position read. */
  cut: number;
  /** Its request still runs, so all of `tokens` will be computed. */
  isLive: boolean;
  /** Larger values are more recent. */
  usedAt: number;
}

/** The first tokens of a prompt, which another slot holds or will hold. */
export interface SharedPrefix {
  content: SlotContent;
  length: number;
}

type Prompt = Pick<GenerationRequest, 'promptTokens' | 'cacheSalt' | 'promptLogprobs' | 'isReproducible'>;

/** Minimum shared tokens of a decoder's prompt: fewer are computed as fast as they are copied. */
const minShared = 16;

/**
 * What the slots of a model hold, including what finished requests left until it is overwritten. A prompt that begins
 * like one in a slot reuses that part instead of computing it again.
 */
export class SlotContents {
  readonly #contents: (SlotContent | null)[];
  readonly #chunk: number | null;
  #uses = 0;

  /** @param chunk prompt tokens that a decoder computes at a time; null: the model has an encoder */
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

  /** Records that a request got `slot`. */
  begin(slot: number, { promptTokens, cacheSalt, promptLogprobs, isReproducible }: Prompt): SlotContent {
    const content: SlotContent = {
      tokens: promptTokens,
      salt: cacheSalt,
      filled: 0,
      exact: isReproducible && promptLogprobs === null ? this.#wholeChunks(promptTokens.length) : 0,
      cut: 0,
      isLive: true,
      usedAt: ++this.#uses,
    };
    this.#contents[slot] = content;
    return content;
  }

  /** Records that `content` took its first `length` tokens from `source`. */
  takenOver(content: SlotContent, source: SlotContent, length: number): void {
    content.exact = Math.max(content.exact, Math.min(source.exact, this.#wholeChunks(length)));
    content.cut = source.cut;
  }

  /** Records that the tokens of `content` from `start` to `end` will be computed at once. */
  toCompute(content: SlotContent, start: number, end: number): void {
    if (start === content.exact && end - start === this.#chunk) content.exact = end;
  }

  /** Records that the request is done; its contents stay until the slot is used again. */
  end(content: SlotContent, tokens: readonly number[], filled: number): void {
    Object.assign(content, { tokens, filled, isLive: false, usedAt: ++this.#uses });
    if (filled === 0) this.drop(content);
  }

  /** Forgets `content`: its slot's contents are unknown from now on. */
  drop(content: SlotContent): void {
    const slot = this.slotOf(content);
    if (slot !== null) this.#contents[slot] = null;
  }

  /** Records that contents moved to another slot. The source's memory can be given back. */
  moved(from: number, to: number): void {
    this.#contents[to] = this.#contents[from]!;
    this.#contents[from] = null;
  }

  /** The slot among `slots` whose contents were used least recently. */
  oldest(slots: readonly number[]): number {
    const usedAt = (slot: number) => this.#contents[slot]?.usedAt ?? 0;
    return slots.reduce((oldest, slot) => (usedAt(slot) < usedAt(oldest) ? slot : oldest));
  }

  /**
   * The longest prefix of a prompt that is worth taking over; prefers computed tokens to expected ones.
   * @param own the content of its slot, once it has one; then only expected tokens of earlier requests count, so that
   *   no two requests wait for each other
   */
  find(prompt: Prompt, own: SlotContent | null = null): SharedPrefix | null {
    let best: SharedPrefix | null = null;
    let bestWorth = 0;
    for (const content of this.#contents) {
      if (content === null || content === own || content.salt !== prompt.cacheSalt) continue;
      const length = this.#sharedLength(prompt, content);
      const isThere = content.filled >= length;
      if (length === 0 || (!isThere && own !== null && content.usedAt > own.usedAt)) continue;
      const worth = length + (isThere ? minShared : 0);
      if (worth < bestWorth || (worth === bestWorth && content.usedAt > best!.content.usedAt)) continue;
      best = { content, length };
      bestWorth = worth;
    }
    return best;
  }

  /** Whether the contents of `slot` could be useful and no other slot has them. */
  isWorthKeeping(slot: number): boolean {
    const own = this.#contents[slot];
    if (!own || (this.#chunk !== null && own.filled < minShared)) return false;
    return !this.#contents.some((other, at) => at !== slot && other !== null && covers(other, own));
  }

  #sharedLength({ promptTokens, promptLogprobs, isReproducible }: Prompt, content: SlotContent): number {
    // Scored tokens must be computed; an encoder's tokens are never scored.
    if (promptLogprobs !== null && this.#chunk !== null) return 0;
    const { length } = promptTokens;
    const there = content.isLive ? content.tokens.length : content.filled;
    const shared = commonLength(promptTokens, content.tokens, Math.min(length, there));
    if (this.#chunk === null) return shared === length && length === content.tokens.length ? length : 0;
    // The last token is always computed: its logits choose the next one. Where rows are not equal, a chunk of one token
    // gives different numbers.
    const useful = isReproducible
      ? this.#wholeChunks(Math.min(shared, length - 1, content.exact))
      : Math.min(shared, length - 2);
    return useful >= Math.max(minShared, content.cut) ? useful : 0;
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
    other.cut <= own.cut &&
    commonLength(own.tokens, other.tokens, own.filled) === own.filled
  );
}

function commonLength(a: readonly number[], b: readonly number[], maximum: number): number {
  let length = 0;
  while (length < maximum && a[length] === b[length]) length += 1;
  return length;
}
