import { existsSync, globSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import packageJson from '../../../package.json' with { type: 'json' };
import type { Grammar, GrammarSource } from '../../sampling/grammar.ts';
import type { PromptTokenLogprobs, TokenLogprobs } from '../../sampling/sampled-token.ts';
import type { SamplingRequest } from '../../sampling/sampling-request.ts';
import type { Sampling } from '../session.ts';

/** npm packages with the prebuilt addon, by platform; .github/workflows/release.yml attaches them to a release. */
export const prebuiltPackages: Readonly<Record<string, string>> = {
  'linux-x64': 'altup-serve-linux-x64-gnu',
  'linux-arm64': 'altup-serve-linux-arm64-gnu',
  'darwin-arm64': 'altup-serve-darwin-arm64',
  'win32-x64': 'altup-serve-win32-x64-msvc',
};

/**
 * The prebuilt addon for this platform, or why there is none.
 * @param from file or URL whose `node_modules` are searched
 */
export function prebuiltAddon(
  from: string,
  platform = `${process.platform}-${process.arch}`,
): { path: string; reason?: never } | { path: null; reason: string } {
  const name = prebuiltPackages[platform];
  if (name === undefined) return { path: null, reason: `there is no prebuilt one for ${platform}` };
  let path: string;
  try {
    path = createRequire(from).resolve(name);
  } catch {
    return { path: null, reason: `its package ${name} is not installed` };
  }
  const { version } = JSON.parse(readFileSync(join(dirname(path), 'package.json'), 'utf8'));
  if (version === packageJson.version) return { path };
  return { path: null, reason: `${name} has version ${version}, not ${packageJson.version}` };
}

const require = createRequire(import.meta.url);

export const nativeFolder = join(import.meta.dirname, '../../../native');
export const nativeAddonPath = join(nativeFolder, `altup-native.${process.platform}-${process.arch}.node`);

/** Exports of native/src/binding. */
export interface NativeAddon {
  /** @param bytes of all tokens, concatenated */
  keepTokenBytes(model: string, bytes: Uint8Array, lengths: Int32Array, endTokens: readonly number[]): void;
  forgetTokenBytes(model: string): void;
  keptTokenBytes(model: string): NativeTokenBytes;
  /** Changes when the model's tokens change. */
  vocabularyNumber(model: string): number;
  /** Only for sources that passed a trial: nothing can end this call early. */
  compileGrammar(model: string, source: GrammarSource): Promise<NativeGrammar>;
  /** Tries a source in a fork of this process. @param number identifies the trial to `endGrammarTrial` */
  tryGrammar(number: number, model: string, source: GrammarSource): Promise<NativeVerdict>;
  endGrammarTrial(number: number): void;
  NativeModel: new (library: string) => NativeModel;
  NativeGraph: new (library: string) => NativeGraph;
  /** @throws Error when the request names a token outside the vocabulary */
  NativeSampling: new (
    request: SamplingRequest,
    vocabSize: number,
  ) => NativeSampling;
  NativeRowSampler: new (threads: number) => NativeRowSampler;
  /** Rejects with the reason when the execution provider cannot compute here. */
  probeProvider(library: string, name: string, options: Record<string, string>): Promise<void>;
  /** Free bytes of the first CUDA device. @throws Error that names the driver's call */
  freeCudaMemory(): number;
  /** Compute capability of the first CUDA device: 80 for 8.0. @throws Error that names the driver's call */
  cudaComputeCapability(): number;
  /** The CPU's instruction sets for quantised products, the fastest last. */
  instructions(): string[];
  /** Has kernels made from now on use one of `instructions`, or the fastest again: for tests and benchmarks. */
  forceInstructions(name?: string): void;
  /** Ends running calls on all threads early and fails all later ones. */
  interruptSessions(): void;
}

export interface NativeTokenBytes {
  bytes: Uint8Array;
  lengths: Int32Array;
  endTokens: readonly number[];
}

export interface NativeGrammar extends Grammar {
  /** Memory use. */
  readonly bytes: number;
}

export interface NativeVerdict {
  /** `late`: the trial got too little processor time for a verdict. */
  outcome: 'fit' | 'refused' | 'late' | 'ended';
  /** Why it was refused, worded for clients. */
  reason: string;
  /** Processor time used, in milliseconds. */
  ms: number;
}

interface NativeModelOptions {
  decoder: string;
  encoder?: string;
  slots: number;
  capacity: number;
  encoderCapacity: number;
  vocabSize: number;
  /** Maximum number of keys that a query reads, for each layer with a cache; 0: all. */
  windows: number[];
  threads: number;
  /** ONNX Runtime's name for it (`CUDA`, `TensorRT`, `WebGPU`); absent: the CPU. */
  provider?: string;
  providerOptions?: Record<string, string>;
  /** false: use function bodies instead of the `ai.altup` kernels. */
  kernels?: boolean;
  /** Whether the cache holds int8: only for a decoder-only model on the CPU, with the kernels. */
  int8Cache: boolean;
  /** ONNX Runtime session options by key. */
  config?: Record<string, string>;
  /** ONNX Runtime logs everything, which nodes each provider got, for example. */
  verbose?: boolean;
}

export interface NativeModel {
  load(options: NativeModelOptions): Promise<void>;
  encode(slot: number, tokens: Int32Array): void;
  /** Numbers in a final state of the encoder; 0 for a decoder-only model. */
  readonly encoderWidth: number;
  /** The encoder's final states, one after another. */
  embed(tokens: Int32Array): Float32Array;
  /** Scores each `followers[i]`, which comes after token i, together with `alternatives` others. */
  prefill(
    slot: number,
    tokens: Int32Array,
    past: number,
    sampling: NativeSampling | null,
    followers: Int32Array,
    alternatives: number,
  ): { sampled: NativeChoice | null; scores: PromptTokenLogprobs[]; badLogit: NativeChoice['badLogit'] };
  /**
   * Decodes one row for each of `samplings`. Where one is given, the next token replaces the row's entry in `tokens`.
   * @returns null if every choice is a token without log probabilities
   */
  decode(
    tokens: Int32Array,
    pasts: Int32Array,
    samplings: readonly (NativeSampling | null)[],
  ): (NativeChoice | null)[] | null;
  packs(): boolean;
  /**
   * @param segments for each of `samplings`: slot, filled positions, number of new tokens, how many of these are a guess
   * @returns by segment: the token behind it, and behind its guess as far as that was right; none without sampling
   */
  pack(
    tokens: Int32Array,
    segments: Int32Array,
    samplings: readonly (NativeSampling | null)[],
  ): NativeChoice[][];
  /** Like `pack`, for any model: segment i belongs to slot i, and all are padded to the longest. */
  verify(...segments: Parameters<NativeModel['pack']>): NativeChoice[][];
  copySlot(from: number, to: number, length: number): void;
  trimSlot(slot: number, length: number, cut: number): void;
  /** Nanoseconds that ONNX Runtime itself took for the last decode step. */
  readonly runTime: number;
  close(): Promise<void>;
}

/** Chooses the tokens of one completion. Opaque to JavaScript. */
export type NativeSampling = Sampling;

/** A token, or why there is none; if no other field is set, the request rules out every token. */
export interface NativeChoice {
  token: number | null;
  logprobs: TokenLogprobs | null;
  badLogit: { token: number; value: number } | null;
  grammarFault: string | null;
  /** The grammar has not yet computed which tokens it allows. */
  isLate: boolean;
}

/** A sampler on its own, for tests and benchmarks. */
interface NativeRowSampler {
  /** @param logits one row per sampling, concatenated */
  sample(logits: Float32Array, samplings: readonly NativeSampling[]): NativeChoice[];
}

export interface NativeTensor {
  element: 'float32' | 'float16' | 'bfloat16' | 'int32' | 'int64';
  dims: number[];
  data: Uint8Array;
}

interface NativeGraphOptions {
  path: string;
  threads: number;
  kernels: boolean;
  config?: Record<string, string>;
  profile?: string;
}

/** Runs any graph unchanged, for tests and benchmarks. */
export interface NativeGraph {
  load(options: NativeGraphOptions): Promise<void>;
  bind(inputs: Record<string, NativeTensor>, outputs: string[], aliases?: Record<string, string>): void;
  run(): Promise<Record<string, NativeTensor>>;
  time(runs: number): Promise<number[]>;
  endProfiling(): string;
  close(): Promise<void>;
}

export interface LoadedAddon {
  addon: NativeAddon;
  /** ONNX Runtime's shared library, which onnxruntime-node uses too. */
  library: string;
}

export interface MissingAddon {
  addon: null;
  reason: string;
}

let loaded: LoadedAddon | null = null;

/** The addon, or why there is none. */
export function loadNativeAddon(): LoadedAddon | MissingAddon {
  if (loaded !== null) return loaded;
  // A local build comes first: it is as new as the sources.
  const { path, reason } = existsSync(nativeAddonPath)
    ? { path: nativeAddonPath }
    : prebuiltAddon(import.meta.url);
  if (path === null) {
    return {
      addon: null,
      reason: `the native addon is not built (\`npm run build:native\` builds it and needs cargo), and ${reason}`,
    };
  }
  const library = onnxruntimeLibrary();
  if (library === null) {
    return { addon: null, reason: `onnxruntime-node has no library for ${process.platform}-${process.arch}` };
  }
  try {
    loaded = { addon: require(path), library };
    return loaded;
  } catch (error) {
    return {
      addon: null,
      reason: `${path} does not load: ${error instanceof Error ? error.message : error}`,
    };
  }
}

/** Ends the computations of native sessions on all threads and fails all later calls, for a shutdown that is late. */
export function interruptNativeSessions(): void {
  loaded?.addon.interruptSessions();
}

/** The addon and onnxruntime-node share one ONNX Runtime: a second copy would double its threads and memory. */
function onnxruntimeLibrary(): string | null {
  const folder = join(dirname(require.resolve('onnxruntime-node')), '..');
  const pattern = `bin/napi-v*/${process.platform}/${process.arch}/{libonnxruntime.so.1,libonnxruntime.1.dylib,onnxruntime.dll}`;
  const [found] = globSync(pattern, { cwd: folder });
  return found === undefined ? null : join(folder, found);
}
