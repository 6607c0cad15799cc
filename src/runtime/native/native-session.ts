import { join } from 'node:path';
import type { Manifest } from '../../catalog/manifest.ts';
import { ConfigurationError } from '../../errors.ts';
import {
  GrammarFaultError,
  NonFiniteLogitsError,
  NoTokenAllowedError,
  SamplingError,
} from '../../sampling/sampling-error.ts';
import type { SamplingRequest } from '../../sampling/sampling-request.ts';
import { type ExecutionProvider, executionProviders, requireRunnable } from '../execution-providers.ts';
import { meanState } from '../mean-state.ts';
import type {
  Choice,
  DecodeRow,
  PrefillResult,
  Runtime,
  Sampling,
  Scoring,
  Segment,
  Session,
  SessionOptions,
} from '../session.ts';
import { spinDurationUs } from '../spin-duration.ts';
import {
  type LoadedAddon,
  loadNativeAddon,
  type NativeChoice,
  type NativeModel,
  type NativeSampling,
} from './native-addon.ts';

/**
 * Whether a session has equal rows. Our attention and products have them, and so have ONNX Runtime's other operators on
 * x64, except sparse experts. Its products for arm64, and those that it has without AVX2, were never tried.
 */
export function hasEqualRows(
  { backend, executionProvider }: Runtime,
  { moe }: Pick<Manifest, 'moe'>,
): boolean {
  if (backend !== 'native' || executionProvider !== 'cpu' || moe !== null || process.arch !== 'x64')
    return false;
  return loadNativeAddon().addon?.instructions().includes('avx2') ?? false;
}

/** Settings of a native session, in addition to those of every session. */
export interface NativeSettings {
  executionProvider?: ExecutionProvider;
  /** false: use function bodies instead of the `ai.altup` kernels, for comparison. */
  kernels?: boolean;
  /** ONNX Runtime logs everything. */
  verbose?: boolean;
}

/**
 * The native addon's session. It binds the caches once and writes them in place, and chooses tokens where the logits
 * are, so that only tokens go in and out. A call blocks its thread; `interruptNativeSessions` on another thread ends it
 * early.
 */
export class NativeSession implements Session {
  readonly runtime: Runtime;
  readonly slots: number;
  readonly capacity: number;
  readonly encoderCapacity: number;
  readonly vocabSize: number;
  readonly hasEqualRows: boolean;
  /** Known once the model is loaded. */
  #packs = false;
  readonly #model: NativeModel;
  readonly #addon: LoadedAddon['addon'];
  /** A step's inputs, by slot. They have their own ArrayBuffers, which V8 would otherwise allocate at every step. */
  readonly #tokens: Int32Array;
  readonly #pasts: Int32Array;

  private constructor(
    manifest: Manifest,
    options: SessionOptions,
    addon: LoadedAddon['addon'],
    model: NativeModel,
    { runtime, equalRows }: { runtime: Runtime; equalRows: boolean },
  ) {
    this.runtime = runtime;
    this.slots = options.slots;
    this.capacity = Math.min(options.maxContext, manifest.contextLength);
    this.encoderCapacity = Math.min(options.maxContext, manifest.encoderContextLength ?? 0);
    this.vocabSize = manifest.vocabSize;
    this.hasEqualRows = equalRows;
    this.#model = model;
    this.#addon = addon;
    this.#tokens = new Int32Array(new ArrayBuffer(4 * options.slots));
    this.#pasts = new Int32Array(new ArrayBuffer(4 * options.slots));
  }

  /**
   * @throws ConfigurationError for an export that the execution provider cannot run
   * @throws Error from ONNX Runtime when a graph or an execution provider cannot be loaded
   */
  static async open(
    manifest: Manifest,
    options: SessionOptions,
    { addon, library }: LoadedAddon,
    { executionProvider = 'cpu', kernels, verbose = false }: NativeSettings = {},
  ): Promise<NativeSession> {
    const { decoder, encoder } = manifest.graphs;
    const provider = executionProviders[executionProvider];
    requireRunnable(executionProvider, options.folder, manifest);
    const deviceFault = provider.deviceFault(addon, manifest.precision);
    if (deviceFault !== null) {
      throw new ConfigurationError(`${options.folder} is ${manifest.precision}: ${deviceFault}`);
    }
    const model = new addon.NativeModel(library);
    const runtime: Runtime = { backend: 'native', executionProvider };
    const equalRows = kernels !== false && hasEqualRows(runtime, manifest);
    const session = new NativeSession(manifest, options, addon, model, { runtime, equalRows });
    await model.load({
      decoder: join(options.folder, decoder),
      ...(encoder === null ? {} : { encoder: join(options.folder, encoder) }),
      slots: options.slots,
      capacity: session.capacity,
      encoderCapacity: session.encoderCapacity,
      vocabSize: manifest.vocabSize,
      windows: manifest.cache.map(({ slidingWindow }) => slidingWindow ?? 0),
      threads: options.threads,
      config: { 'session.intra_op.spin_duration_us': spinDurationUs },
      verbose,
      int8Cache: options.int8Cache ?? false,
      ...provider.request(options.folder, manifest.precision, options.memoryLimit),
      ...(kernels === undefined ? {} : { kernels }),
    });
    session.#packs = equalRows && model.packs();
    return session;
  }

  get packs(): boolean {
    return this.#packs;
  }

  async encode(slot: number, tokens: readonly number[]): Promise<void> {
    this.#model.encode(slot, Int32Array.from(tokens));
  }

  get encoderWidth(): number {
    return this.#model.encoderWidth;
  }

  async embed(tokens: readonly number[]): Promise<Float32Array> {
    return meanState(this.#model.embed(Int32Array.from(tokens)), this.encoderWidth);
  }

  startSampling(request: SamplingRequest): NativeSampling {
    return new this.#addon.NativeSampling(request, this.vocabSize);
  }

  async prefill(
    slot: number,
    tokens: readonly number[],
    past: number,
    sampling: Sampling | null,
    scoring?: Scoring,
  ): Promise<PrefillResult> {
    const { followers = [], alternatives = 0 } = scoring ?? {};
    const chunk = Int32Array.from(tokens);
    const scored = Int32Array.from(followers);
    const { sampled, scores, badLogit } = this.#model.prefill(
      slot,
      chunk,
      past,
      sampling,
      scored,
      alternatives,
    );
    if (badLogit) throw new NonFiniteLogitsError(badLogit.token, badLogit.value);
    const token = sampled && sampledToken(sampled);
    if (token === 'late') throw new Error('the grammar does not know how a text begins');
    if (token instanceof SamplingError) throw token;
    return { sampled: token, scores };
  }

  async decode(rows: readonly DecodeRow[]): Promise<(Choice | null)[]> {
    const [tokens, pasts] = [this.#tokens, this.#pasts];
    const samplings: (NativeSampling | null)[] = [];
    for (const { token, past, sampling } of rows) {
      tokens[samplings.length] = token;
      pasts[samplings.length] = past;
      samplings.push(sampling);
    }
    const choices = this.#model.decode(tokens, pasts, samplings);
    if (choices) return choices.map((choice) => choice && sampledToken(choice));
    return samplings.map((sampling, row) => sampling && { token: tokens[row]!, logprobs: null });
  }

  async pack(segments: readonly Segment[]): Promise<Choice[][]> {
    // Layers that share the cache of others skip the tokens before the first one that is sampled.
    const order = [...segments.keys()].sort(
      (a, b) => Number(segments[a]!.sampling !== null) - Number(segments[b]!.sampling !== null),
    );
    const sorted = order.map((i) => segments[i]!);
    const found = this.#model.pack(...numbersOf(sorted));
    const choices = new Array<Choice[]>(segments.length);
    for (const [n, i] of order.entries()) choices[i] = found[n]!.map(sampledToken);
    return choices;
  }

  async verify(segments: readonly Segment[]): Promise<Choice[][]> {
    return this.#model.verify(...numbersOf(segments)).map((choices) => choices.map(sampledToken));
  }

  copySlot(from: number, to: number, length: number): void {
    this.#model.copySlot(from, to, length);
  }

  trimSlot(slot: number, length: number, cut: number): void {
    this.#model.trimSlot(slot, length, cut);
  }

  /** Milliseconds that ONNX Runtime itself took for the last decode step. */
  get runTimeMs(): number {
    return this.#model.runTime / 1e6;
  }

  async close(): Promise<void> {
    await this.#model.close();
  }
}

/** Segments as the addon takes them. */
function numbersOf(segments: readonly Segment[]): Parameters<NativeModel['pack']> {
  const numbers = segments.flatMap(({ slot, past, tokens, guessed }) => [slot, past, tokens.length, guessed]);
  return [
    Int32Array.from(segments.flatMap(({ tokens }) => tokens)),
    Int32Array.from(numbers),
    segments.map(({ sampling }) => sampling as NativeSampling | null),
  ];
}

function sampledToken(choice: NativeChoice): Choice {
  const { token, logprobs, badLogit, grammarFault, isLate } = choice;
  if (token !== null) return { token, logprobs };
  if (isLate) return 'late';
  if (grammarFault !== null) return new GrammarFaultError(grammarFault);
  return badLogit ? new NonFiniteLogitsError(badLogit.token, badLogit.value) : new NoTokenAllowedError();
}
