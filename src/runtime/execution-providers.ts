import { join } from 'node:path';
import type { Precision } from '../catalog/manifest.ts';
import type { Runtime } from './session.ts';

export type ExecutionProvider = Runtime['executionProvider'];

/** How the native addon requests a provider from ONNX Runtime. */
interface ProviderRequest {
  /** ONNX Runtime's name for the provider. */
  provider: string;
  providerOptions: Record<string, string>;
  /** false: use the model's function bodies. The provider has no kernels; the CPU's would copy data there and back. */
  kernels: boolean;
}

/** Folder in which TensorRT keeps its engines, so that it builds them once. */
const tensorrtFolder = 'tensorrt';

/**
 * @param folder the export folder
 * @returns null for the CPU, which needs no request
 */
export function providerRequest(
  provider: ExecutionProvider,
  folder: string,
  precision: Precision,
): ProviderRequest | null {
  switch (provider) {
    case 'cpu':
      return null;
    case 'cuda':
      // The arena grows by the requested size, not by doubling. Without TF32, float32 products match other providers'.
      return request('CUDA', { arena_extend_strategy: 'kSameAsRequested', use_tf32: '0' }, true);
    case 'tensorrt':
      return request('TensorRT', {
        trt_fp16_enable: precision === 'fp16' ? '1' : '0',
        trt_engine_cache_enable: '1',
        trt_engine_cache_path: join(folder, tensorrtFolder),
        trt_timing_cache_enable: '1',
      });
    case 'webgpu':
      return request('WebGPU', {});
  }
}

function request(
  provider: string,
  providerOptions: Record<string, string>,
  kernels = false,
): ProviderRequest {
  return { provider, providerOptions, kernels };
}

/** Why the CUDA provider cannot run exports of this precision; null: it can. Attention and cache would be on the CPU. */
export const cudaPrecisionFault = (precision: Precision): string | null =>
  precision === 'fp16'
    ? null
    : 'the CUDA provider supports attention only with fp16 caches, not with float32';

/** What a provider needs in addition to the addon, for the error message that says why it cannot be used. */
export const providerNeeds: Record<Exclude<ExecutionProvider, 'cpu'>, string> = {
  cuda: 'it needs an NVIDIA driver, CUDA 13, cuDNN 9 and two libraries next to those of ONNX Runtime (docs/gpu.md)',
  tensorrt: 'it needs TensorRT 10 and everything that cuda needs (docs/configuration.md)',
  webgpu: 'it needs a Vulkan, Metal or Direct3D 12 driver (docs/configuration.md)',
};

/** The cause in ONNX Runtime's message, without its source locations. */
export function providerFault(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const library = /Failed to load library (\S+) with error: [^:]*: (.*)/.exec(message);
  if (library) return `${library[1]}: ${library[2]}`;
  return message
    .replace(/^\S*onnxruntime_src.*?(\[ONNXRuntimeError\] : \d+ : \w+ : |was false\. )/s, '')
    .trim();
}
