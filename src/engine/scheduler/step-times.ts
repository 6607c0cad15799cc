/** What the prompts of a step may take in time, counted in tokens. */
export interface TimeBudget {
  tokens: number;
  /** What each chunk but the first takes on top of its tokens: a chunk of one token takes as long as several. */
  perChunk: number;
}

export const unlimited: TimeBudget = { tokens: Number.POSITIVE_INFINITY, perChunk: 0 };

/** A step with prompts takes at most this multiple of what it takes without them, while sequences decode. */
const maxStretch = 3;
/** The same for packed runs, which lose less by short chunks: the longest of many is then about three times as long. */
const packedStretch = 2.6;
/** Steps up to this many milliseconds are no pause that anybody notices, so smaller chunks would only cost time. */
const shortMs = 10;
/** Without sequences that decode, chunks that take less than this many decode steps lose speed. */
const minDecodes = 8;
/** Minimum tokens of a run: fewer take almost as long. Also the size of the first chunk, of which nothing is known. */
const minTokens = 16;
/** The minimum if a run computes decode rows too, which a pause would hurt. */
const minPackedTokens = 8;
/** Chunks have at most 2 to the power of this tokens. */
const octaves = 20;
/** Weight of a measurement next to what was expected. */
const weight = 1 / 4;
/** A measurement counts as at most this multiple of what was expected, since other programs may have delayed it. */
const maxDelay = 2;

/** What a clock may miss: no chunk takes no time. */
const clockMs = 0.001;

const clamp = (value: number, minimum: number, maximum: number) =>
  Math.max(minimum, Math.min(maximum, value));

/**
 * Milliseconds of a chunk by its tokens: a curve through the powers of two, straight between them. A straight line would
 * not do, because kernels change with the number of rows.
 */
class ChunkTimes {
  /** Empty until a chunk was measured. */
  readonly #ms: number[] = [];
  /** Points to which a measured chunk was the nearest. */
  readonly #measured = new Set<number>();

  get isKnown(): boolean {
    return this.#ms.length > 0;
  }

  /**
   * Records a chunk. Points near its length change most. The others change too, because the whole machine may have become
   * slower or faster. A chunk twice as long never takes less, nor more than twice as long.
   */
  add(tokens: number, ms: number): void {
    if (!this.isKnown) for (let i = 0; i <= octaves; i += 1) this.#ms.push(ms * Math.max(1, 2 ** i / tokens));
    const change = Math.min(maxDelay, ms / this.of(tokens));
    const at = Math.log2(tokens);
    for (const [i, own] of this.#ms.entries()) {
      const nearness = Math.max(1 / 2, 1 - Math.abs(i - at));
      this.#ms[i] = own * change ** (weight * nearness);
    }
    const nearest = Math.round(at);
    this.#measured.add(nearest);
    this.#drawBetween();
    for (let i = nearest; i < octaves; i += 1) {
      this.#ms[i + 1] = clamp(this.#ms[i + 1]!, this.#ms[i]!, 2 * this.#ms[i]!);
    }
    for (let i = nearest; i > 0; i -= 1) {
      this.#ms[i - 1] = clamp(this.#ms[i - 1]!, this.#ms[i]! / 2, this.#ms[i]!);
    }
  }

  /** Puts points that were never measured on a straight line in tokens: reading the weights takes a time of its own. */
  #drawBetween(): void {
    const known = [...this.#measured].sort((a, b) => a - b);
    for (const [n, end] of known.entries()) {
      const start = known[n - 1] ?? end;
      const perToken = (this.#ms[end]! - this.#ms[start]!) / (2 ** end - 2 ** start);
      for (let i = start + 1; i < end; i += 1)
        this.#ms[i] = this.#ms[start]! + perToken * (2 ** i - 2 ** start);
    }
  }

  of(tokens: number): number {
    const octave = Math.min(octaves - 1, Math.floor(Math.log2(tokens)));
    const [start, end] = [this.#ms[octave]!, this.#ms[octave + 1]!];
    return start + (end - start) * (tokens / 2 ** octave - 1);
  }

  /** Tokens of the longest chunk that takes at most `ms`; 0 if the shortest takes longer. */
  longest(ms: number): number {
    const octave = this.#ms.findLastIndex((start) => start <= ms);
    if (octave < 0) return 0;
    if (octave === octaves) return 2 ** octaves;
    const [start, end] = [this.#ms[octave]!, this.#ms[octave + 1]!];
    return Math.floor(2 ** octave * (1 + (ms - start) / (end - start)));
  }
}

/**
 * Learns how long a model's steps take, and chooses how many prompt tokens a step may compute. While sequences decode,
 * prompts lengthen a step to about three times its time; otherwise a step takes at most `stepMs`, so that aborts and
 * deadlines wait no longer. Pure: the caller measures.
 */
export class StepTimes {
  readonly #stepMs: number;
  /** Milliseconds of a decode step by its number of rows, for those that were measured. More rows never take less. */
  readonly #decode: number[] = [];
  readonly #chunks = new ChunkTimes();
  /** Recent chunks together; older ones count less. */
  readonly #recent = { ms: 0, tokens: 0 };

  readonly #packs: boolean;

  /** @param stepMs 0: no limit in time @param packs whether a step computes prompts and decode rows in one run */
  constructor(stepMs: number, packs = false) {
    this.#stepMs = stepMs;
    this.#packs = packs;
  }

  /** Records a decode step. If the session packs, its rows are like the tokens of any other run. */
  decoded(rows: number, ms: number): void {
    if (this.#packs) {
      this.#chunks.add(rows, Math.max(ms, clockMs));
      return;
    }
    const expected = this.#decode[rows] ?? ms;
    const own = expected + weight * (Math.min(ms, maxDelay * expected) - expected);
    this.#decode[rows] = own;
    this.#decode.forEach((other, n) => {
      this.#decode[n] = n < rows ? Math.min(other, own) : Math.max(other, own);
    });
  }

  /** Records a chunk of a prompt, or a whole prompt that an encoder read. */
  prefilled(tokens: number, ms: number): void {
    this.packed({ rows: 0, tokens }, ms);
  }

  /** Records a run that computed `tokens` of prompts together with decode rows: it takes as long as so many tokens. */
  packed({ rows, tokens }: { rows: number; tokens: number }, ms: number): void {
    this.#recent.ms = 0.9 * this.#recent.ms + ms - this.decodePart({ rows, tokens }, ms);
    this.#chunks.add(rows + tokens, Math.max(ms, clockMs));
    this.#recent.tokens = 0.9 * this.#recent.tokens + tokens;
  }

  /** Expected milliseconds of a packed run over so many tokens; 1 if nothing was measured. */
  runMs(tokens: number): number {
    return this.#chunks.isKnown ? this.#chunks.of(tokens) : 1;
  }

  /** The part of a run's time that goes to its decode rows: what a step without prompts takes. */
  decodePart({ rows, tokens }: { rows: number; tokens: number }, ms: number): number {
    if (rows === 0) return 0;
    const known = this.decodeMs(rows);
    return known === 0 ? (ms * rows) / (rows + tokens) : Math.min(ms, known);
  }

  /** Expected milliseconds of a decode step; 0 if none was measured. */
  decodeMs(rows: number): number {
    if (this.#packs) return this.#chunks.isKnown ? this.#chunks.of(rows) : 0;
    const known = this.#decode.findLast((ms, n) => ms !== undefined && n <= rows);
    return known ?? this.#decode.find((ms) => ms !== undefined) ?? 0;
  }

  /** Expected milliseconds to compute `tokens` of prompts, in chunks like the last ones; 0 if none was measured. */
  prefillMs(tokens: number): number {
    return this.#recent.tokens === 0 ? 0 : (tokens * this.#recent.ms) / this.#recent.tokens;
  }

  /**
   * What prompts may take in a step.
   * @param rows that decode in the step
   * @param othersMs milliseconds in which other models decode between two steps; null if none does
   */
  budget(rows: number, othersMs: number | null): TimeBudget {
    if (this.#stepMs === 0) return unlimited;
    if (!this.#chunks.isKnown) return { tokens: minTokens, perChunk: minTokens };
    const tokens = this.#tokens(rows, othersMs);
    // Two halves take longer by what every chunk takes, however short it is.
    const [whole, half] = [this.#chunks.of(tokens), this.#chunks.of(tokens / 2)];
    const fixed = (tokens / 2) * ((2 * half - whole) / (whole - half));
    return { tokens, perChunk: half < whole ? Math.min(tokens, Math.ceil(fixed)) : tokens };
  }

  #tokens(rows: number, othersMs: number | null): number {
    const ms = this.#promptMs(rows, othersMs);
    if (!this.#packs || rows === 0) return Math.max(minTokens, this.#chunks.longest(ms));
    return Math.max(minPackedTokens, this.#chunks.longest(this.decodeMs(rows) + ms) - rows);
  }

  #promptMs(rows: number, othersMs: number | null): number {
    if (rows === 0 && othersMs === null) return Math.max(this.#stepMs, minDecodes * this.decodeMs(1));
    const decodeMs = (rows === 0 ? 0 : this.decodeMs(rows)) + (othersMs ?? 0);
    const stretch = this.#packs ? packedStretch : maxStretch;
    return Math.max((stretch - 1) * decodeMs, shortMs - decodeMs);
  }
}
