import { join } from 'node:path';
import type { Manifest } from '../catalog/manifest.ts';
import type { SampledToken } from '../sampling/sampled-token.ts';
import type { SamplingError } from '../sampling/sampling-error.ts';
import type { SamplingRequest } from '../sampling/sampling-request.ts';
import { SamplingState } from '../sampling/sampling-state.ts';
import { LogitsSampler } from './logits-sampler.ts';
import type { LoadedAddon, NativeModel } from './native-addon.ts';
import type {
  DecodeRow,
  PrefillResult,
  Runtime,
  Sampling,
  Scoring,
  Session,
  SessionOptions,
} from './session.ts';

/** How a native session runs, beyond what every session is told. */
export interface NativeSettings {
  /** As ONNX Runtime calls it (`CUDA`, `TensorRT`, `WebGPU`); absent: the CPU. */
  provider?: string;
  providerOptions?: Record<string, string>;
  /** false: function bodies instead of the kernels of `ai.altup`, for comparison. */
  kernels?: boolean;
}

/**
 * The session of the native addon: caches bound once and written in place, only tokens in and logits out. A
 * call blocks its thread; `interruptNativeSessions` on another ends it early.
 */
export class NativeSession implements Session {
  readonly runtime: Runtime = { backend: 'native', executionProvider: 'cpu' };
  readonly slots: number;
  readonly capacity: number;
  readonly encoderCapacity: number;
  readonly vocabSize: number;
  readonly #model: NativeModel;
  readonly #sampler: LogitsSampler;
  /** Written to by the runs. */
  #logits: Float32Array;

  private constructor(manifest: Manifest, options: SessionOptions, model: NativeModel) {
    this.slots = options.slots;
    this.capacity = Math.min(options.maxContext, manifest.contextLength);
    this.encoderCapacity = Math.min(options.maxContext, manifest.encoderContextLength ?? 0);
    this.vocabSize = manifest.vocabSize;
    this.#model = model;
    this.#sampler = new LogitsSampler(manifest.vocabSize);
    this.#logits = new Float32Array(options.slots * manifest.vocabSize);
  }

  /** @throws Error from ONNX Runtime when a graph or an execution provider cannot be loaded */
  static async open(
    manifest: Manifest,
    options: SessionOptions,
    { addon, library }: LoadedAddon,
    settings: NativeSettings = {},
  ): Promise<NativeSession> {
    const { decoder, encoder } = manifest.graphs;
    const model = new addon.NativeModel(library);
    const session = new NativeSession(manifest, options, model);
    await model.load({
      decoder: join(options.folder, decoder),
      ...(encoder === null ? {} : { encoder: join(options.folder, encoder) }),
      slots: options.slots,
      capacity: session.capacity,
      encoderCapacity: session.encoderCapacity,
      vocabSize: manifest.vocabSize,
      threads: options.threads,
      // Spinning would take the core that the HTTP thread needs.
      config: { 'session.intra_op.allow_spinning': '0' },
      ...settings,
    });
    return session;
  }

  async encode(slot: number, tokens: readonly number[]): Promise<void> {
    this.#model.encode(slot, Int32Array.from(tokens));
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
    const rows = this.#sampler.rowsOf(tokens.length, { sampling, scoring });
    const logits = this.#reserve(rows.length);
    this.#model.prefill(slot, Int32Array.from(tokens), past, Int32Array.from(rows), logits);
    return this.#sampler.prefilled(logits.subarray(0, rows.length * this.vocabSize), { sampling, scoring });
  }

  async decode(rows: readonly DecodeRow[]): Promise<(SampledToken | SamplingError | null)[]> {
    const logits = this.#reserve(rows.length);
    const tokens = Int32Array.from(rows, ({ token }) => token);
    const pasts = Int32Array.from(rows, ({ past }) => past);
    this.#model.decode(tokens, pasts, logits);
    return this.#sampler.decoded(logits, rows);
  }

  copySlot(from: number, to: number, length: number): void {
    this.#model.copySlot(from, to, length);
  }

  /** Milliseconds that ONNX Runtime itself took for the last decode step. */
  get runTimeMs(): number {
    return this.#model.runTime / 1e6;
  }

  async close(): Promise<void> {
    await this.#model.close();
  }

  /** The logits buffer, with room for `rows` rows. */
  #reserve(rows: number): Float32Array {
    if (rows * this.vocabSize > this.#logits.length) this.#logits = new Float32Array(rows * this.vocabSize);
    return this.#logits;
  }
}
