import { join } from 'node:path';
import { hasHalfCache } from '../catalog/cache-bytes.ts';
import { type Manifest, type Precision, precisions } from '../catalog/manifest.ts';
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

/** Folder in which TensorRT keeps its engines, so that it builds them once. */
const tensorrtFolder = 'tensorrt';

const providers = {
  cpu: {
    needs: 'it needs nothing',
    isPortable: true,
    auto: null,
    exportFault: anyExport,
    freeMemory: null,
    request: () => null,
  },
  cuda: {
    needs:
      'it needs an NVIDIA driver, CUDA 13, cuDNN 9 and two libraries next to those of ONNX Runtime (docs/gpu.md)',
    isPortable: false,
    auto: { because: 'the precision is fp16 and a GPU is available', precisions: ['fp16'] },
    // Attention would be on the CPU, and every step would copy the cache there and back.
    exportFault: (manifest) => {
      if (hasHalfCache(manifest)) return null;
      const fitting = precisions.filter((precision) => hasHalfCache({ ...manifest, precision })).join(', ');
      return `the CUDA provider supports attention only over float16 caches; export it as ${fitting}`;
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
    freeMemory: null,
    request: (folder, precision) => ({
      provider: 'TensorRT',
      providerOptions: {
        trt_fp16_enable: precision === 'fp16' ? '1' : '0',
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
    exportFault: anyExport,
    freeMemory: null,
    request: () => ({ provider: 'WebGPU', providerOptions: {}, kernels: false }),
  },
} as const satisfies Record<string, Provider>;

export type ExecutionProvider = keyof typeof providers;

/** Every execution provider, by the name that `ALTUP_EXECUTION_PROVIDER` has for it. */
export const executionProviders: Readonly<Record<ExecutionProvider, Provider>> = providers;

export const providerNames = Object.keys(providers) as ExecutionProvider[];

/** The cause in ONNX Runtime's message, without its source locations. */
export function providerFault(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const library = /Failed to load library (\S+) with error: [^:]*: (.*)/.exec(message);
  if (library) return `${library[1]}: ${library[2]}`;
  return message
    .replace(/^\S*onnxruntime_src.*?(\[ONNXRuntimeError\] : \d+ : \w+ : |was false\. )/s, '')
    .trim();
}
