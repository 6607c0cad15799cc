import type { Precision } from '../../src/catalog/manifest.ts';
import { Tokenizer } from '../../src/catalog/tokenizer/tokenizer.ts';
import { Admission } from '../../src/engine/client/admission.ts';
import { type EngineClient, startEngine } from '../../src/engine/client/engine-client.ts';
import { sharedClock } from '../../src/engine/protocol/clock.ts';
import type { EngineOptions, StepReport } from '../../src/engine/protocol/messages.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { chooseRuntime } from '../../src/runtime/choose-runtime.ts';
import { generationRequest, type RequestOverrides } from '../../test/support/generation-request.ts';

interface Completed {
  tokens: number[];
  /** On the clock that all threads share, like `tokensAt`. */
  arrivedAt: number;
  tokensAt: number[];
  firstTokenMs: number;
  generationMs: number;
  cachedTokens: number;
}

/** An engine in its own thread with one model, without the HTTP side. */
export class EngineAlone {
  /** Reports of all steps; the caller that counts them empties the list. */
  readonly steps: StepReport[] = [];
  /** Guessed tokens of all completions, and those that were right. */
  readonly guesses = { all: 0, right: 0 };
  readonly #model: string;
  #engine!: EngineClient;
  #count = 0;

  private constructor(model: string) {
    this.#model = model;
  }

  /**
   * @param options override the defaults that most benchmarks share
   * @param draft proposes next tokens
   */
  static async open(
    checkpoint: string,
    options: Partial<EngineOptions> & Pick<EngineOptions, 'slots'>,
    precision: Precision = 'fp32',
    draft?: { checkpoint: string; precision: Precision },
  ): Promise<EngineAlone> {
    const alone = new EngineAlone('model');
    const { folder } = await ensureExport(checkpoint, precision);
    const drafting = draft && (await ensureExport(draft.checkpoint, draft.precision));
    const { runtime } = await chooseRuntime({
      backend: 'auto',
      executionProvider: 'auto',
      precisions: [precision],
    });
    const ignore = () => {};
    alone.#engine = startEngine(
      {
        options: {
          runtime,
          threads: 2,
          maxContext: 2048,
          cacheMemory: null,
          cachePrecision: 'export',
          stepTokens: 512,
          stepMs: 250,
          prefillChunk: 256,
          promptLookup: false,
          ...options,
        },
      },
      {
        admission: new Admission(
          { maxQueuedRequests: 1000, maxQueuedTokens: 1_000_000, clientQueueShare: 100 },
          sharedClock,
        ),
        observer: {
          admitted: ignore,
          rejected: ignore,
          happened: ignore,
          restarted: ignore,
          stepped: (step) => alone.steps.push(step),
        },
        clock: sharedClock,
        onModelState: (_, state) => {
          if (state.state === 'failed') throw new Error(state.message);
        },
        onFault: (_, detail) => {
          throw new Error(detail);
        },
      },
    );
    await alone.#engine.loadModel({
      spec: {
        name: alone.#model,
        folder,
        ...(drafting && { draft: { name: 'draft', folder: drafting.folder } }),
      },
      vocabulary: Promise.resolve(Tokenizer.load(checkpoint).data),
    });
    return alone;
  }

  /**
   * Generates greedily, past end tokens.
   * @param onTokens called with the number of tokens so far
   * @returns the tokens and their times, milliseconds to the first and from it to the last, and the cached tokens
   */
  async complete(
    promptTokens: readonly number[],
    maxTokens: number,
    more: RequestOverrides = {},
    onTokens: (count: number) => void = () => {},
  ): Promise<Completed> {
    this.#count += 1;
    const arrivedAt = sharedClock();
    const request = generationRequest({
      id: `bench-${this.#count}`,
      model: this.#model,
      promptTokens,
      maxTokens,
      arrivedAt,
      stop: { ignoreEos: true },
      ...more,
    });
    const tokens: number[] = [];
    const tokensAt: number[] = [];
    const events = this.#engine.generate([request], new AbortController().signal);
    for await (const event of events) {
      if (event.type !== 'tokens') continue;
      tokens.push(...event.tokens);
      tokensAt.push(...event.tokens.map(() => event.at));
      onTokens(tokens.length);
    }
    const { end, firstTokenAt, lastTokenAt, cachedTokens, guessedTokens, rightGuesses } = events.lives[0]!;
    this.guesses.all += guessedTokens;
    this.guesses.right += rightGuesses;
    if (end?.type !== 'finished') throw new Error(`a request ended in ${JSON.stringify(end)}`);
    if (firstTokenAt === null || lastTokenAt === null) throw new Error('a request got no token');
    return {
      tokens,
      arrivedAt,
      tokensAt,
      firstTokenMs: firstTokenAt - arrivedAt,
      generationMs: lastTokenAt - firstTokenAt,
      cachedTokens,
    };
  }

  async close(): Promise<void> {
    await this.#engine.drain(0);
  }
}
