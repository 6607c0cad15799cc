import { join } from 'node:path';
import { hasHalfCache } from '../catalog/cache-bytes.ts';
import { type Manifest, type Precision, precisions } from '../catalog/manifest.ts';
import { ConfigurationError } from '../errors.ts';
import type { NativeAddon } from './native/native-addon.ts';

/** How the native addon requests a provider from ONNX Runtime. */
interface ProviderRequest {
  /** ONNX Runtime's name for the provider. */
  provider: string;
  providerOptions: Record<string, string>;
  /** false: use the model's function bodies. The provider has no kernels; the CPU's would copy data there and back. */
  kernels: boolean;
}

interface Provider {
  /** What it needs in addition to the addon, for the error message that says why it cannot be used. */
  needs: string;
  /** Whether onnxruntime-node has it too. */
  isPortable: boolean;
  /** Why `auto` takes it where it works, if all models have these precisions; null: only by name. */
  auto: { because: string; precisions: readonly Precision[] } | null;
  /** Why it cannot run an export; null: it can. */
  exportFault(manifest: Pick<Manifest, 'precision' | 'cross'>): string | null;
  /** Why this device cannot run an export of this precision; null: it can. */
  deviceFault(addon: Pick<NativeAddon, 'cudaComputeCapability'>, precision: Precision): string | null;
  /** Free bytes of the memory in which models live, if that is not the host's. */
  freeMemory: ((addon: Pick<NativeAddon, 'freeCudaMemory'>) => number) | null;
  /**
   * @param folder the export folder
   * @param memoryLimit bytes that it may take of its memory for weights and intermediate results
   * @returns null for the CPU, which needs no request
   */
  request(folder: string, precision: Precision, memoryLimit?: number): ProviderRequest | null;
}

const anyExport = () => null;
const allButBfloat16 = ({ precision }: Pick<Manifest, 'precision'>) =>
  precision === 'bf16' ? 'only cuda and tensorrt have kernels for bfloat16; export it as another' : null;

/** Products and attention have bfloat16 kernels from compute capability 8.0 on (Ampere). */
const bfloat16Capability = 80;

/** Folder in which TensorRT keeps its engines, so that it builds them once. */
const tensorrtFolder = 'tensorrt';

const providers = {
  cpu: {
    needs: 'it needs nothing',
    isPortable: true,
    auto: null,
    exportFault: allButBfloat16,
    deviceFault: () => null,
    freeMemory: null,
    request: () => null,
  },
  cuda: {
    needs:
      'it needs an NVIDIA driver, CUDA 13, cuDNN 9 and two libraries next to those of ONNX Runtime (docs/gpu.md)',
    isPortable: false,
    auto: { because: 'the precision is fp16 or bf16 and a GPU is available', precisions: ['fp16', 'bf16'] },
    // Attention would be on the CPU, and every step would copy the cache there and back.
    exportFault: (manifest) => {
      if (hasHalfCache(manifest)) return null;
      const fitting = precisions.filter((precision) => hasHalfCache({ ...manifest, precision })).join(', ');
      return `the CUDA provider supports attention only over caches of 16 bits; export it as ${fitting}`;
    },
    deviceFault: (addon, precision) => {
      if (precision !== 'bf16') return null;
      const capability = addon.cudaComputeCapability();
      if (capability >= bfloat16Capability) return null;
      const own = (capability / 10).toFixed(1);
      return `the GPU has compute capability ${own}, and bfloat16 needs 8.0; export it as fp16`;
    },
    freeMemory: (addon) => addon.freeCudaMemory(),
    request: (_folder, _precision, memoryLimit) => ({
      provider: 'CUDA',
      providerOptions: {
        // The arena grows by the requested size, not by doubling.
        arena_extend_strategy: 'kSameAsRequested',
        // Without TF32, float32 products match other providers'.
        use_tf32: '0',
        ...(memoryLimit !== undefined && { gpu_mem_limit: String(memoryLimit) }),
      },
      kernels: true,
    }),
  },
  tensorrt: {
    needs: 'it needs TensorRT 10 and everything that cuda needs (docs/configuration.md)',
    isPortable: false,
    // It takes minutes to start.
    auto: null,
    exportFault: anyExport,
    deviceFault: () => null,
    freeMemory: null,
    request: (folder, precision) => ({
      provider: 'TensorRT',
      providerOptions: {
        trt_fp16_enable: precision === 'fp16' ? '1' : '0',
        trt_bf16_enable: precision === 'bf16' ? '1' : '0',
        trt_engine_cache_enable: '1',
        trt_engine_cache_path: join(folder, tensorrtFolder),
        trt_timing_cache_enable: '1',
      },
      kernels: false,
    }),
  },
  webgpu: {
    needs: 'it needs a Vulkan, Metal or Direct3D 12 driver (docs/configuration.md)',
    isPortable: true,
    // It may be a software device.
    auto: null,
    exportFault: allButBfloat16,
    deviceFault: () => null,
    freeMemory: null,
    request: () => ({ provider: 'WebGPU', providerOptions: {}, kernels: false }),
  },
} as const satisfies Record<string, Provider>;

export type ExecutionProvider = keyof typeof providers;

/** Every execution provider, by the name that `ALTUP_EXECUTION_PROVIDER` has for it. */
export const executionProviders: Readonly<Record<ExecutionProvider, Provider>> = providers;

export const providerNames = Object.keys(providers) as ExecutionProvider[];

/** @throws ConfigurationError for an export that the provider cannot run */
export function requireRunnable(
  provider: ExecutionProvider,
  folder: string,
  manifest: Pick<Manifest, 'precision' | 'cross'>,
): void {
  const fault = executionProviders[provider].exportFault(manifest);
  if (fault !== null) throw new ConfigurationError(`${folder} is ${manifest.precision}: ${fault}`);
}

/** The cause in ONNX Runtime's message, without its source locations. */
export function providerFault(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const library = /Failed to load library (\S+) with error: [^:]*: (.*)/.exec(message);
  if (library) return `${library[1]}: ${library[2]}`;
  return message
    .replace(/^\S*onnxruntime_src.*?(\[ONNXRuntimeError\] : \d+ : \w+ : |was false\. )/s, '')
    .trim();
}
