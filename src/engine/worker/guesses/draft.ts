import type { Choice, Sampling, Segment, Session } from '../../../runtime/session.ts';
import { SamplingError } from '../../../sampling/sampling-error.ts';
import type { Completion } from '../completion.ts';
import type { TimedSession } from '../timed-session.ts';

/** Maximum tokens of a sequence that the draft reads together with its first proposal. */
const maxUnread = 16;
/** Maximum tokens proposed for a sequence in one step. */
export const maxProposed = 8;

/** What a slot of the draft's cache holds. */
interface DraftSlot {
  readonly index: number;
  /** Id of the request that owns it; null: free. */
  owner: string | null;
  /** Only requests with the same salt take over what it holds. */
  salt: string;
  /** What the encoder read; null: nothing. */
  encoded: readonly number[] | null;
  /** Tokens with keys and values. The last ones may be proposals that turned out wrong. */
  tokens: number[];
  /** So many of `tokens` are known to be the owner's. */
  sure: number;
  /** Positions with memory. */
  held: number;
  /** Larger: more recently. */
  usedAt: number;
}

export interface DraftParts {
  session: Session;
  timed: TimedSession;
  /** Maximum positions with memory in all slots together. */
  positions: number;
  /** Number of tokens in the vocabulary of the model it drafts for. */
  vocabSize: number;
  /** Receives the error after which the draft stays off. */
  onFault(error: unknown): void;
}

export interface Proposal {
  completion: Completion;
  /** Tokens to propose, at least one. */
  count: number;
}

/** A row for which more tokens are proposed. */
interface Proposing {
  /** Index of its proposal. */
  row: number;
  slot: DraftSlot;
  count: number;
  /** Tokens that the draft reads next. */
  next: number[];
  endTokens: readonly number[];
  sampling: Sampling;
}

/**
 * A smaller model that proposes the next tokens of a model's sequences. Its own slot cache follows each sequence: what
 * it has not read yet, it reads before it proposes, and proposals that turned out wrong are overwritten. It chooses
 * with the sequence's own sampling and random numbers. An error switches it off; nobody else notices.
 */
export class Draft {
  readonly #session: Session;
  readonly #timed: TimedSession;
  readonly #positions: number;
  readonly #vocabSize: number;
  readonly #onFault: (error: unknown) => void;
  readonly #slots: DraftSlot[];
  readonly #owned = new Map<string, DraftSlot>();
  /** Requests that it does not follow: it does not know their tokens, or its cache has no room for them. */
  readonly #lost = new Set<string>();
  #uses = 0;
  #isBroken = false;

  constructor({ session, timed, positions, vocabSize, onFault }: DraftParts) {
    this.#session = session;
    this.#timed = timed;
    this.#positions = positions;
    this.#vocabSize = vocabSize;
    this.#onFault = onFault;
    this.#slots = Array.from({ length: session.slots }, (_, index) => ({
      index,
      owner: null,
      salt: '',
      encoded: null,
      tokens: [],
      sure: 0,
      held: 0,
      usedAt: 0,
    }));
  }

  get isOn(): boolean {
    return !this.#isBroken;
  }

  get timed(): TimedSession {
    return this.#timed;
  }

  /** Tokens that it could propose next, at most; 0: none. Cheap, unlike the other calls. */
  room(completion: Completion): number {
    const { id } = completion.request;
    if (this.#isBroken || this.#lost.has(id)) return 0;
    if (!this.#owned.has(id) && !this.#knowsTokens(completion)) {
      this.#lost.add(id);
      return 0;
    }
    if (this.#hasEncoder && completion.request.promptTokens.length > this.#session.encoderCapacity) return 0;
    // Where it does not pack, rows are padded to the longest.
    const padding = this.#session.packs ? 0 : maxUnread;
    return Math.min(maxProposed, this.#session.capacity - lengthOf(completion) - padding);
  }

  /** Whether it has read all but the last tokens of a sequence. */
  isReady(completion: Completion): boolean {
    const { encoder, decoder } = this.#unread(completion);
    return encoder === 0 && decoder <= maxUnread;
  }

  /** Expected milliseconds for all it has not read. */
  readMs(completion: Completion): number {
    const { encoder, decoder } = this.#unread(completion);
    return this.#timed.prefillMs(encoder + decoder);
  }

  /** Reads more of a sequence: about as much as `ms` allow, except an encoder, which reads its prompt as a whole. */
  async read(completion: Completion, ms: number): Promise<void> {
    await this.#attempt(async () => {
      const slot = this.#slotOf(completion);
      if (this.#hasEncoder && slot.encoded === null) {
        const { promptTokens } = completion.request;
        await this.#timed.encode(slot.index, promptTokens);
        slot.encoded = promptTokens;
        return;
      }
      let count = 256;
      while (count > 16 && this.#timed.runMs(count) > ms) count /= 2;
      // The last one is read with the first proposal.
      const tokens = this.#unreadOf(slot, completion).slice(0, -1).slice(0, count);
      if (tokens.length === 0) return;
      if (this.#makeRoom(slot, slot.sure + tokens.length)) await this.#append(slot, tokens);
      else this.#lost.add(completion.request.id);
    });
  }

  /** @returns by row, the proposed tokens: as many as wanted, or fewer */
  async propose(rows: readonly Proposal[]): Promise<number[][]> {
    const proposed: number[][] = rows.map(() => []);
    await this.#attempt(() => this.#proposeAll(rows, proposed));
    return proposed;
  }

  /** Its request has ended. What the slot holds stays for the next one. */
  release(id: string): void {
    this.#lost.delete(id);
    const slot = this.#owned.get(id);
    if (!slot) return;
    this.#owned.delete(id);
    slot.owner = null;
    slot.tokens.length = slot.sure;
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  get #hasEncoder(): boolean {
    return this.#session.encoderCapacity > 0;
  }

  /** Numbers of tokens that it has not read; the last one is always among them. */
  #unread(completion: Completion): { encoder: number; decoder: number } {
    const slot = this.#owned.get(completion.request.id);
    if (slot) follow(slot, completion);
    const isEncoded = !this.#hasEncoder || (slot !== undefined && slot.encoded !== null);
    const encoder = isEncoded ? 0 : completion.request.promptTokens.length;
    return { encoder, decoder: lengthOf(completion) - (slot?.sure ?? 0) };
  }

  /** Whether its vocabulary, which may end sooner than the model's, has all that a request names. */
  #knowsTokens({ samplingRequest }: Completion): boolean {
    const { vocabSize } = this.#session;
    if (vocabSize >= this.#vocabSize) return true;
    const { parameters, promptTokens, endTokens } = samplingRequest;
    const biased = parameters.logitBias.map(([token]) => token);
    const named = [promptTokens, endTokens, parameters.allowedTokens ?? [], biased, ...parameters.badWords];
    return named.every((tokens) => tokens.every((token) => token < vocabSize));
  }

  /** What it has not read of a sequence's tokens; empty if it cannot read them. */
  #unreadOf(slot: DraftSlot, completion: Completion): number[] {
    follow(slot, completion);
    const { given, generated } = completion;
    const from = slot.sure;
    const tokens =
      from < given.length ? [...given.slice(from), ...generated] : generated.slice(from - given.length);
    if (tokens.every((token) => token < this.#session.vocabSize)) return tokens;
    this.#lost.add(completion.request.id);
    return [];
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    if (this.#isBroken) return;
    try {
      await work();
    } catch (error) {
      this.#isBroken = true;
      this.#onFault(error);
    }
  }

  async #proposeAll(rows: readonly Proposal[], proposed: number[][]): Promise<void> {
    let going: Proposing[] = rows.flatMap(({ completion, count }, row) => {
      const slot = this.#slotOf(completion);
      const next = this.#unreadOf(slot, completion);
      if (next.length === 0 || !this.#makeRoom(slot, lengthOf(completion) + count)) return [];
      slot.usedAt = ++this.#uses;
      const { endTokens } = completion.samplingRequest;
      return [{ row, slot, count, next, endTokens, sampling: completion.sampling!.fork() }];
    });
    const forks = going.map(({ sampling }) => sampling);
    try {
      while (going.length > 0) going = await this.#proposeOne(going, proposed);
    } finally {
      for (const fork of forks) fork.end();
    }
  }

  /** @returns the rows that go on */
  async #proposeOne(going: readonly Proposing[], proposed: number[][]): Promise<Proposing[]> {
    const choices = await this.#run(going);
    return going.flatMap((one, i) => {
      one.slot.tokens.push(...one.next);
      const choice = choices[i]!;
      if (choice === 'late' || choice instanceof SamplingError || choice.token >= this.#vocabSize) return [];
      const own = proposed[one.row]!;
      own.push(choice.token);
      const isLast = own.length >= one.count || one.endTokens.includes(choice.token);
      return isLast ? [] : [{ ...one, next: [choice.token] }];
    });
  }

  /** Appends each row's next tokens to its slot, and chooses the token behind them. */
  async #run(rows: readonly { slot: DraftSlot; next: number[]; sampling: Sampling }[]): Promise<Choice[]> {
    const segments = rows.map(({ slot, next, sampling }): Segment => {
      return { slot: slot.index, tokens: next, past: slot.tokens.length, guessed: 0, sampling };
    });
    if (this.#session.packs) {
      return (await this.#timed.pack([], segments)).map(([choice]) => choice!);
    }
    const bySlot = new Map(segments.map((segment) => [segment.slot, segment]));
    const longest = Math.max(...segments.map(({ tokens }) => tokens.length));
    const batch = Array.from({ length: 1 + Math.max(...bySlot.keys()) }, (_, slot) => {
      return bySlot.get(slot) ?? this.#filler(this.#slots[slot]!, longest);
    });
    const choices = await this.#timed.verify(batch);
    return segments.map(({ slot }) => choices[slot]![0]!);
  }

  /** A row of a batch that nobody wants: it writes behind what its slot holds. */
  #filler(slot: DraftSlot, count: number): Segment {
    if (slot.tokens.length + count > this.#session.capacity) empty(slot);
    return { slot: slot.index, tokens: [0], past: slot.tokens.length, guessed: 0, sampling: null };
  }

  async #append(slot: DraftSlot, tokens: number[]): Promise<void> {
    await this.#timed.prefill(slot.index, tokens, slot.sure, null);
    slot.tokens.push(...tokens);
    slot.sure = slot.tokens.length;
    slot.usedAt = ++this.#uses;
  }

  /** A sequence's slot. A new sequence gets the free slot that holds most of it; there are as many as the model has. */
  #slotOf(completion: Completion): DraftSlot {
    return this.#owned.get(completion.request.id) ?? this.#take(completion);
  }

  #take(completion: Completion): DraftSlot {
    const free = this.#slots.filter(({ owner }) => owner === null);
    const shared = new Map(free.map((slot) => [slot, this.#shared(slot, completion)]));
    const worth = (slot: DraftSlot) => shared.get(slot)!;
    // A batch has rows for all slots up to the last one that takes part, unless the session packs.
    const order = (a: DraftSlot, b: DraftSlot) =>
      this.#session.packs ? a.usedAt - b.usedAt : a.index - b.index;
    const [best] = free.sort((a, b) => worth(b) - worth(a) || order(a, b));
    if (!best) throw new Error('the draft has no free slot');
    const { id, cacheSalt } = completion.request;
    if (worth(best) === 0) empty(best);
    Object.assign(best, { owner: id, salt: cacheSalt, sure: 0, usedAt: ++this.#uses });
    this.#owned.set(id, best);
    return best;
  }

  /** Tokens that the draft need not read again. */
  #shared(slot: DraftSlot, { request: { promptTokens, cacheSalt }, given }: Completion): number {
    if (slot.salt !== cacheSalt) return 0;
    if (this.#hasEncoder) {
      const { encoded } = slot;
      const isSame =
        encoded?.length === promptTokens.length && encoded.every((t, i) => t === promptTokens[i]);
      return isSame ? promptTokens.length : 0;
    }
    const length = Math.min(slot.tokens.length, given.length);
    for (let i = 0; i < length; i++) if (slot.tokens[i] !== given[i]) return i;
    return length;
  }

  /** Gives back the memory of free slots until `slot` can hold `length` positions. @returns whether it can */
  #makeRoom(slot: DraftSlot, length: number): boolean {
    const held = Math.max(slot.held, length);
    const excess = () =>
      this.#slots.reduce((sum, other) => sum + (other === slot ? held : other.held), 0) - this.#positions;
    const free = this.#slots.filter((other) => other.owner === null && other.held > 0);
    for (const other of free.sort((a, b) => a.usedAt - b.usedAt)) {
      if (excess() <= 0) break;
      this.#session.trimSlot(other.index, 0, 0);
      empty(other);
      other.held = 0;
    }
    if (excess() > 0) return false;
    slot.held = held;
    return true;
  }
}

const lengthOf = ({ given, generated }: Completion) => given.length + generated.length;

function empty(slot: DraftSlot): void {
  Object.assign(slot, { tokens: [], sure: 0, encoded: null });
}

/** Forgets what a slot holds beyond the sequence's tokens. The last one is never in it: the draft starts from there. */
function follow(slot: DraftSlot, completion: Completion): void {
  const { given, generated } = completion;
  const limit = Math.min(slot.tokens.length, lengthOf(completion) - 1);
  const tokenAt = (i: number) => (i < given.length ? given[i] : generated[i - given.length]);
  while (slot.sure < limit && slot.tokens[slot.sure] === tokenAt(slot.sure)) slot.sure += 1;
  slot.tokens.length = slot.sure;
}
