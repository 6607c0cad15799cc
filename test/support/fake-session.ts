import { LogitsSampler } from '../../src/runtime/portable/logits-sampler.ts';
import type {
  Choice,
  DecodeRow,
  PrefillResult,
  Runtime,
  Sampling,
  Scoring,
  Segment,
  Session,
} from '../../src/runtime/session.ts';
import type { SampledToken } from '../../src/sampling/sampled-token.ts';
import type { SamplingError } from '../../src/sampling/sampling-error.ts';
import type { SamplingRequest } from '../../src/sampling/sampling-request.ts';
import { SamplingState } from '../../src/sampling/sampling-state.ts';

/** Logits of the next position, one per vocabulary token, from the encoder's tokens and the decoder's tokens so far. */
export type LogitsOf = (encoderTokens: readonly number[], decoderTokens: readonly number[]) => Float32Array;

export interface FakeSessionOptions {
  slots?: number;
  capacity?: number;
  /** 0: decoder-only. */
  encoderCapacity?: number;
  vocabSize?: number;
  logitsOf?: LogitsOf;
  /** Keys and values depend on the chunk they were computed in, as the last bits of ONNX Runtime's do. */
  isRounding?: boolean;
  /** Computes prompts and decode rows in one call. */
  packs?: boolean;
  /** Whether a row's grammar has not computed the allowed tokens yet. */
  isLate?: (slot: number, past: number) => boolean;
  /** Runs inside each call after the checks of its arguments. Throw to fail the call, or await to delay it. */
  during?: (call: FakeCall) => void | Promise<void>;
}

export interface FakeCall {
  kind: 'encode' | 'embed' | 'prefill' | 'decode' | 'pack' | 'verify' | 'copySlot';
  slots: readonly number[];
  /** For each slot of the call, the tokens its decoder will have read after the call. */
  contents: readonly (readonly number[])[];
  /** Tokens that it computes. */
  tokens: number;
}

export const fakeRuntime: Runtime = { backend: 'native', executionProvider: 'cpu' };

/**
 * A session that keeps each slot's tokens instead of keys and values. It detects misuse: a wrong slot, position or copy
 * changes the logits or throws, and overlapping calls throw.
 */
export class FakeSession implements Session {
  readonly runtime = fakeRuntime;
  readonly slots: number;
  readonly capacity: number;
  readonly encoderCapacity: number;
  readonly encoderWidth: number;
  readonly vocabSize: number;
  readonly hasEqualRows: boolean;
  readonly packs: boolean;
  readonly calls: FakeCall[] = [];
  isClosed = false;
  readonly #logitsOf: LogitsOf;
  readonly #isRounding: boolean;
  readonly #during: (call: FakeCall) => void | Promise<void>;
  readonly #isLate: (slot: number, past: number) => boolean;
  readonly #encoded: (readonly number[])[];
  readonly #decoded: (readonly number[])[];
  /** By slot: what `trimSlot` cut off; queries before it may read keys that are gone. */
  readonly #cuts: number[];
  /** By slot: positions with memory. */
  readonly #held: number[];
  readonly #sampler: LogitsSampler;
  #isBusy = false;

  constructor(options: FakeSessionOptions = {}) {
    this.slots = options.slots ?? 4;
    this.capacity = options.capacity ?? 64;
    this.encoderCapacity = options.encoderCapacity ?? 0;
    this.encoderWidth = this.encoderCapacity > 0 ? fakeWidth : 0;
    this.vocabSize = options.vocabSize ?? 263;
    this.#logitsOf = options.logitsOf ?? hashedLogits(this.vocabSize);
    this.#isRounding = options.isRounding ?? false;
    this.hasEqualRows = !this.#isRounding;
    this.packs = options.packs ?? false;
    this.#during = options.during ?? (() => {});
    this.#isLate = options.isLate ?? (() => false);
    this.#encoded = new Array(this.slots).fill([]);
    this.#decoded = new Array(this.slots).fill([]);
    this.#cuts = new Array(this.slots).fill(0);
    this.#held = new Array(this.slots).fill(0);
    this.#sampler = new LogitsSampler(this.vocabSize);
  }

  async embed(tokens: readonly number[]): Promise<Float32Array> {
    this.#checkPrompt(tokens);
    await this.#run({ kind: 'embed', slots: [], contents: [], tokens: tokens.length }, () => []);
    return fakeEmbedding(tokens);
  }

  async encode(slot: number, tokens: readonly number[]): Promise<void> {
    this.#checkPrompt(tokens);
    const call: FakeCall = { kind: 'encode', slots: [slot], contents: [[]], tokens: tokens.length };
    await this.#run(call, () => {
      this.#encoded[slot] = [...tokens];
      return [];
    });
  }

  startSampling(request: SamplingRequest): SamplingState {
    return new SamplingState(request);
  }

  async prefill(
    slot: number,
    tokens: readonly number[],
    past: number,
    sampling: Sampling | null,
    scoring?: Scoring,
  ): Promise<PrefillResult> {
    if (past === 0) this.#cuts[slot] = 0;
    const before = this.#before(slot, past);
    const after = [...before, ...this.#rounded(tokens, past)];
    const rows = this.#sampler.rowsOf(tokens.length, { sampling, scoring });
    const call: FakeCall = { kind: 'prefill', slots: [slot], contents: [after], tokens: tokens.length };
    const logits = await this.#run(call, () =>
      rows.map((row) => this.#logitsOf(this.#encoded[slot]!, after.slice(0, past + row + 1))),
    );
    return this.#sampler.prefilled(logits, { sampling, scoring });
  }

  async decode(rows: readonly DecodeRow[]): Promise<(SampledToken | SamplingError | 'late' | null)[]> {
    this.#check(rows.length > 0, 'rows');
    const contents = rows.map(({ token, past }, slot) => [
      ...this.#before(slot, past),
      ...this.#rounded([token], past),
    ]);
    const call: FakeCall = { kind: 'decode', slots: [...rows.keys()], contents, tokens: rows.length };
    const logits = await this.#run(call, () =>
      contents.map((content, slot) => this.#logitsOf(this.#encoded[slot]!, content)),
    );
    const late = rows.map(({ past }, slot) => this.#isLate(slot, past));
    const chosen = rows.map((row, slot) => (late[slot] ? { ...row, sampling: null } : row));
    return this.#sampler.decoded(logits, chosen).map((result, slot) => (late[slot] ? 'late' : result));
  }

  async pack(segments: readonly Segment[]): Promise<Choice[][]> {
    this.#check(this.packs, 'does not pack');
    return this.#runSegments('pack', segments);
  }

  async #runSegments(kind: 'pack' | 'verify', segments: readonly Segment[]): Promise<Choice[][]> {
    const slots = segments.map(({ slot }) => slot);
    this.#check(new Set(slots).size === slots.length, `slots ${slots}`);
    for (const { slot, past } of segments) if (past === 0) this.#cuts[slot] = 0;
    const contents = segments.map(({ slot, past, tokens }) => [...this.#before(slot, past), ...tokens]);
    const tokens = segments.reduce((sum, segment) => sum + segment.tokens.length, 0);
    const call: FakeCall = { kind, slots, contents, tokens };
    await this.#run(call, () => []);
    return segments.map(({ slot, past, tokens, guessed, sampling }, i) => {
      if (sampling === null) return [];
      if (tokens.length === 1 + guessed && this.#isLate(slot, past)) return ['late'];
      return this.#behind({ past: past + tokens.length - guessed, sampling }, contents[i]!, slot);
    });
  }

  async verify(segments: readonly Segment[]): Promise<Choice[][]> {
    this.#check(
      segments.every(({ slot }, i) => slot === i),
      'segments are not those of the first slots',
    );
    const longest = Math.max(...segments.map(({ tokens }) => tokens.length));
    for (const { past } of segments) this.#check(past + longest <= this.capacity, 'padding over capacity');
    return this.#runSegments('verify', segments);
  }

  /** The choices behind the first `past` tokens of a content and, as long as they are right, behind the others. */
  #behind(
    { past, sampling }: { past: number; sampling: Sampling | null },
    content: readonly number[],
    slot: number,
  ): (SampledToken | SamplingError)[] {
    const chosen: (SampledToken | SamplingError)[] = [];
    for (let end = past; end <= content.length; end++) {
      const logits = this.#logitsOf(this.#encoded[slot]!, content.slice(0, end));
      const [choice] = this.#sampler.decoded(logits, [{ token: 0, past: end, sampling }]);
      if (!choice) break;
      chosen.push(choice);
      if (!('token' in choice) || choice.token !== content[end]) break;
    }
    return chosen;
  }

  copySlot(from: number, to: number, length: number): void {
    const content = this.#before(from, length);
    const call: FakeCall = { kind: 'copySlot', slots: [from, to], contents: [content, content], tokens: 0 };
    this.calls.push(call);
    this.#during(call);
    this.#encoded[to] = this.#encoded[from]!;
    this.#decoded[to] = content;
    this.#cuts[to] = this.#cuts[from]!;
    this.#held[to] = Math.max(this.#held[to]!, length);
  }

  trimSlot(slot: number, length: number, cut: number): void {
    this.#check(cut <= length, `a cut at ${cut} of ${length} positions`);
    this.#decoded[slot] = this.#decoded[slot]!.slice(0, length);
    this.#cuts[slot] = length === 0 ? 0 : Math.max(this.#cuts[slot]!, cut);
    this.#held[slot] = length;
  }

  /** By slot: the positions with memory, and what `trimSlot` cut off. */
  get memory(): { length: number; cut: number }[] {
    return this.#held.map((length, slot) => ({ length, cut: this.#cuts[slot]! }));
  }

  async close(): Promise<void> {
    this.#check(!this.isClosed && !this.#isBusy, 'close');
    this.isClosed = true;
  }

  #rounded(tokens: readonly number[], past: number): readonly number[] {
    if (!this.#isRounding) return tokens;
    const chunk = this.vocabSize * (1 + past * this.capacity + tokens.length);
    return tokens.map((token) => token + chunk);
  }

  #before(slot: number, past: number): readonly number[] {
    const content = this.#decoded[slot];
    this.#check(content !== undefined, `slot ${slot}`);
    this.#check(past <= content!.length, `slot ${slot} has ${content!.length} positions, not ${past}`);
    this.#check(past === 0 || past >= this.#cuts[slot]! - 1, `slot ${slot} is cut at ${this.#cuts[slot]}`);
    return content!.slice(0, past);
  }

  /** @returns the logits of `compute`, row after row */
  async #run(call: FakeCall, compute: () => readonly Float32Array[]): Promise<Float32Array> {
    this.#check(!this.isClosed && !this.#isBusy, 'call while closed or busy');
    for (const content of call.contents) this.#check(content.length <= this.capacity, 'over capacity');
    this.#isBusy = true;
    this.calls.push(call);
    try {
      await this.#during(call);
      for (const [i, slot] of call.slots.entries()) {
        this.#decoded[slot] = call.contents[i]!;
        this.#held[slot] = Math.max(this.#held[slot]!, call.contents[i]!.length);
      }
      const rows = compute();
      const logits = new Float32Array(rows.length * this.vocabSize);
      for (const [i, row] of rows.entries()) logits.set(row, i * this.vocabSize);
      return logits;
    } finally {
      this.#isBusy = false;
    }
  }

  #checkPrompt({ length }: readonly number[]): void {
    this.#check(length > 0 && length <= this.encoderCapacity, `${length} encoder tokens`);
  }

  #check(isRight: boolean, what: string): void {
    if (!isRight) throw new Error(`fake session: ${what}`);
  }
}

export const fakeWidth = 4;

/** Numbers that differ for every prompt and are not exact in decimal. */
export const fakeEmbedding = (tokens: readonly number[]): Float32Array =>
  Float32Array.from({ length: fakeWidth }, (_, i) =>
    tokens.reduce((sum, token, at) => sum + Math.sin((i + 1) * (at + 1) * token), 0),
  );

/** Random-looking logits between −4 and 4 that change with every token of the context. */
export function hashedLogits(vocabSize: number): LogitsOf {
  return (encoderTokens, decoderTokens) => {
    let hash = 0x811c9dc5;
    for (const token of [...encoderTokens, -1, ...decoderTokens]) hash = Math.imul(hash ^ token, 0x01000193);
    return Float32Array.from({ length: vocabSize }, (_, id) => {
      const mixed = Math.imul(hash ^ Math.imul(id + 1, 0x9e3779b1), 0x85ebca6b);
      return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 29 - 4;
    });
  };
}

/** Logits of a model that generates exactly `tokens` for any prompt, then token 0 forever. */
export function scriptedLogits(vocabSize: number, promptLength: number, tokens: readonly number[]): LogitsOf {
  return (_, decoderTokens) => {
    const logits = new Float32Array(vocabSize);
    logits[tokens[decoderTokens.length - promptLength] ?? 0] = 10;
    return logits;
  };
}
