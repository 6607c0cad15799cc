import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { hasHalfCache } from '../../catalog/cache-bytes.ts';
import type { Manifest } from '../../catalog/manifest.ts';
import type { SampledToken } from '../../sampling/sampled-token.ts';
import { GrammarFaultError, type SamplingError } from '../../sampling/sampling-error.ts';
import type { SamplingRequest } from '../../sampling/sampling-request.ts';
import { SamplingState } from '../../sampling/sampling-state.ts';
import { type ExecutionProvider, requireRunnable } from '../execution-providers.ts';
import { meanState } from '../mean-state.ts';
import type {
  DecodeRow,
  PrefillResult,
  Runtime,
  Sampling,
  Scoring,
  Session,
  SessionOptions,
} from '../session.ts';
import { spinDurationUs } from '../spin-duration.ts';
import { LogitsSampler } from './logits-sampler.ts';
import { type CacheNumbers, SlotCache } from './slot-cache.ts';

type Feeds = Record<string, Tensor>;

/** The encoder's output with its final states, float32 [batch, positions, width]. */
const statesOutput = 'encoder_output';

/** Keys and values of one layer. */
interface LayerCache {
  key: SlotCache;
  value: SlotCache;
}

/**
 * The portable session: the stock onnxruntime-node binding, function bodies for the `ai.altup` operators, the slot
 * cache in host memory. The binding copies every output it returns, so a step fetches only the logits and the new rows
 * (`new.*`), never `present.*`, and writes those rows into the cache itself.
 */
export class OnnxruntimeNodeSession implements Session {
  readonly runtime: Runtime;
  readonly slots: number;
  readonly capacity: number;
  readonly encoderCapacity: number;
  readonly encoderWidth: number;
  readonly vocabSize: number;
  /** The last bits of ONNX Runtime's attention depend on the chunk. */
  readonly hasEqualRows = false;
  readonly packs = false;
  readonly #decoder: InferenceSession;
  readonly #encoder: InferenceSession | null;
  readonly #self: LayerCache[];
  readonly #cross: LayerCache[];
  /** Encoder positions in use, by slot. */
  readonly #encoderLengths: Int32Array;
  readonly #fetches: string[];
  /** The decoder has the input that packed steps need. */
  readonly #hasSegments: boolean;
  readonly #sampler: LogitsSampler;

  private constructor(
    manifest: Manifest,
    options: SessionOptions,
    executionProvider: ExecutionProvider,
    decoder: InferenceSession,
    encoder: InferenceSession | null,
  ) {
    this.runtime = { backend: 'onnxruntime-node', executionProvider };
    this.slots = options.slots;
    this.capacity = Math.min(options.maxContext, manifest.contextLength);
    this.encoderCapacity = Math.min(options.maxContext, manifest.encoderContextLength ?? 0);
    this.vocabSize = manifest.vocabSize;
    this.#decoder = decoder;
    this.#encoder = encoder;
    this.encoderWidth = widthOf(encoder);
    const layer = (heads: number, headSize: number, maxCapacity: number): LayerCache => {
      const isHalf = hasHalfCache(manifest);
      const shape = { slots: this.slots, heads, headSize, maxCapacity, isHalf };
      return { key: new SlotCache(shape), value: new SlotCache(shape) };
    };
    this.#self = manifest.cache.map(({ kvHeads, headSize }) => layer(kvHeads, headSize, this.capacity));
    this.#cross = manifest.cross.map(({ heads, headSize }) => layer(heads, headSize, this.encoderCapacity));
    this.#encoderLengths = new Int32Array(options.slots);
    this.#sampler = new LogitsSampler(manifest.vocabSize);
    this.#hasSegments = decoder.inputNames.includes('segments');
    this.#fetches = ['logits', ...manifest.cache.flatMap((_, i) => [`new.${i}.key`, `new.${i}.value`])];
  }

  /**
   * @throws ConfigurationError for an export that the execution provider cannot run
   * @throws Error from ONNX Runtime when a graph cannot be loaded
   */
  static async open(
    manifest: Manifest,
    options: SessionOptions,
    executionProvider: ExecutionProvider = 'cpu',
  ): Promise<OnnxruntimeNodeSession> {
    requireRunnable(executionProvider, options.folder, manifest);
    const load = (graph: string) =>
      InferenceSession.create(join(options.folder, graph), {
        executionProviders: [executionProvider],
        intraOpNumThreads: options.threads,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        // Memory patterns are cached per input shape, and the shapes change at every step.
        enableMemPattern: false,
        extra: { session: { intra_op: { spin_duration_us: spinDurationUs } } },
      });
    const decoder = await load(manifest.graphs.decoder);
    const encoder = manifest.graphs.encoder === null ? null : await load(manifest.graphs.encoder);
    return new OnnxruntimeNodeSession(manifest, options, executionProvider, decoder, encoder);
  }

  async encode(slot: number, tokens: readonly number[]): Promise<void> {
    for (const { key, value } of this.#cross) {
      key.reserve(tokens.length);
      value.reserve(tokens.length);
    }
    const fetches = this.#cross.flatMap((_, i) => [`cross.${i}.key`, `cross.${i}.value`]);
    const outputs = await this.#runEncoder(tokens, fetches);
    this.#cross.forEach(({ key, value }, i) => {
      key.writeHeads(slot, cacheNumbers(outputs, `cross.${i}.key`));
      value.writeHeads(slot, cacheNumbers(outputs, `cross.${i}.value`));
    });
    this.#encoderLengths[slot] = tokens.length;
  }

  async embed(tokens: readonly number[]): Promise<Float32Array> {
    const outputs = await this.#runEncoder(tokens, [statesOutput]);
    return meanState(floats(outputs, statesOutput), this.encoderWidth);
  }

  async #runEncoder(
    tokens: readonly number[],
    fetches: readonly string[],
  ): Promise<InferenceSession.OnnxValueMapType> {
    if (this.#encoder === null) throw new Error('a decoder-only model has no encoder');
    const feeds: Feeds = {
      input_ids: int64(tokens, [1, tokens.length]),
      encoder_lengths: int32([tokens.length], [1]),
    };
    return this.#encoder.run(feeds, fetches);
  }

  startSampling(request: SamplingRequest): SamplingState {
    if (request.parameters.grammar !== null) throw new GrammarFaultError('this needs the native backend.');
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
    const logits = await this.#run({ first: slot, count: 1, sequence: tokens.length }, tokens, [past], rows);
    return this.#sampler.prefilled(logits, { sampling, scoring });
  }

  async decode(rows: readonly DecodeRow[]): Promise<(SampledToken | SamplingError | null)[]> {
    const tokens = rows.map(({ token }) => token);
    const pasts = rows.map(({ past }) => past);
    const batch = { first: 0, count: rows.length, sequence: 1 };
    return this.#sampler.decoded(await this.#run(batch, tokens, pasts, [...rows.keys()]), rows);
  }

  /** Runs the decoder over `count` slots from `first`, `sequence` new positions each, and appends them to the cache. */
  async #run(
    batch: { first: number; count: number; sequence: number },
    tokens: readonly number[],
    pasts: readonly number[],
    logitRows: readonly number[],
  ): Promise<Float32Array> {
    const { first, count, sequence } = batch;
    const total = Math.max(...pasts) + sequence;
    for (const { key, value } of this.#self) {
      key.reserve(total);
      value.reserve(total);
    }
    const positions = pasts.flatMap((past) => Array.from({ length: sequence }, (_, i) => past + i));
    const feeds: Feeds = {
      input_ids: int64(tokens, [count, sequence]),
      position_ids: int64(positions, [count, sequence]),
      seqlens_k: int32(
        pasts.map((past) => past + sequence - 1),
        [count],
      ),
      total_sequence_length: int32([total], [1]),
      logit_positions: int64(logitRows, [logitRows.length]),
    };
    feed(feeds, 'past_key_values', this.#self, first, count);
    if (this.#hasSegments) feeds.segments = int32([], [0, 3]);
    if (this.#encoder !== null) {
      feed(feeds, 'cross', this.#cross, first, count);
      feeds.encoder_lengths = new Tensor('int32', this.#encoderLengths.slice(first, first + count), [count]);
    }
    const outputs = await this.#decoder.run(feeds, this.#fetches);
    this.#self.forEach(({ key, value }, i) => {
      append(key, cacheNumbers(outputs, `new.${i}.key`), first, pasts);
      append(value, cacheNumbers(outputs, `new.${i}.value`), first, pasts);
    });
    return floats(outputs, 'logits');
  }

  pack(): never {
    throw new Error('packing needs the native backend on the CPU');
  }

  verify(): never {
    throw new Error('verifying a guess needs equal rows');
  }

  copySlot(from: number, to: number, length: number): void {
    const encoderLength = this.#encoderLengths[from] ?? 0;
    for (const { key, value } of this.#self) {
      key.copy(from, to, length);
      value.copy(from, to, length);
    }
    for (const { key, value } of this.#cross) {
      key.copy(from, to, encoderLength);
      value.copy(from, to, encoderLength);
    }
    this.#encoderLengths[to] = encoderLength;
  }

  trimSlot(): void {}

  async close(): Promise<void> {
    await this.#decoder.release();
    await this.#encoder?.release();
  }
}

/** Numbers in a final state of the encoder; 0 without one. */
function widthOf(encoder: InferenceSession | null): number {
  const states = encoder?.outputMetadata.find(({ name }) => name === statesOutput);
  return states?.isTensor ? Number(states.shape.at(-1)) : 0;
}

function int64(values: readonly number[], dims: number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
}

function int32(values: readonly number[], dims: number[]): Tensor {
  return new Tensor('int32', Int32Array.from(values), dims);
}

function floats(outputs: InferenceSession.OnnxValueMapType, name: string): Float32Array {
  const data = outputs[name]?.data;
  if (!(data instanceof Float32Array)) throw new TypeError(`graph output ${name} is not a float32 tensor`);
  return data;
}

function cacheNumbers(outputs: InferenceSession.OnnxValueMapType, name: string): CacheNumbers {
  const tensor = outputs[name];
  if (tensor?.type !== 'float16') return floats(outputs, name);
  const { buffer, byteOffset, length } = tensor.data as Uint16Array;
  return new Uint16Array(buffer, byteOffset, length);
}

function feed(
  feeds: Feeds,
  prefix: string,
  layers: readonly LayerCache[],
  first: number,
  count: number,
): void {
  layers.forEach((layer, i) => {
    for (const part of ['key', 'value'] as const) {
      const { data, dims } = layer[part].view(first, count);
      feeds[`${prefix}.${i}.${part}`] =
        data instanceof Float32Array ? new Tensor('float32', data, dims) : float16Tensor(data, dims);
    }
  });
}

/** Appends each slot's share of `rows`, [count, sequence, heads × headSize], after its `pasts` positions. */
function append(cache: SlotCache, rows: CacheNumbers, first: number, pasts: readonly number[]): void {
  const share = rows.length / pasts.length;
  pasts.forEach((past, row) => {
    cache.writePositions(first + row, past, rows.subarray(row * share, (row + 1) * share));
  });
}

/**
 * A float16 tensor over the given bits. Where JavaScript has Float16Array, Tensor's constructor would convert the bits
 * to one, which the native side of onnxruntime-node 1.30 reads as an empty array.
 */
export function float16Tensor(bits: Uint16Array, dims: readonly number[]): Tensor {
  return Object.assign(new Tensor('uint16', bits, dims), { type: 'float16' });
}
