import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../src/errors.ts';
import { chooseRuntime, type RuntimeSettings } from '../../src/runtime/choose-runtime.ts';
import type { LoadedAddon } from '../../src/runtime/native/native-addon.ts';

const missing = () => ({ addon: null, reason: 'the native addon is not built' }) as const;
const noCuda =
  '/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:1988 onnxruntime::Provider& ' +
  'onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library /lib/libshared.so with ' +
  'error: /lib/libshared.so: cannot open shared object file: No such file or directory\n';
const noAdapter =
  '/onnxruntime_src/webgpu_context.cc:136 Initialize()::<lambda()> adapter_result.status == Success was false. ' +
  'Failed to get a WebGPU adapter: No supported adapters\n';

/** An addon whose ONNX Runtime can only use these providers. */
const present = (...usable: string[]) => {
  const probeProvider = async (_: string, name: string) => {
    if (!usable.includes(name)) throw new Error(name === 'WebGPU' ? noAdapter : noCuda);
  };
  return () => ({ addon: { probeProvider }, library: 'libonnxruntime.so.1' }) as unknown as LoadedAddon;
};
const settings = (given: Partial<RuntimeSettings> = {}): RuntimeSettings => ({
  backend: 'auto',
  executionProvider: 'auto',
  precisions: ['fp32'],
  ...given,
});
const native = { backend: 'native', executionProvider: 'cpu' };
const portable = { backend: 'onnxruntime-node', executionProvider: 'cpu' };

describe('the backend', () => {
  it('is the native addon where that loads', async () => {
    for (const backend of ['auto', 'native'] as const) {
      const chosen = await chooseRuntime(settings({ backend }), present());
      expect(chosen).toMatchObject({ runtime: native, fallback: null });
    }
  });

  it('is onnxruntime-node where it does not, and says why', async () => {
    expect(await chooseRuntime(settings(), missing)).toMatchObject({
      runtime: portable,
      fallback: 'the native addon is not built',
    });
  });

  it('is onnxruntime-node where that is asked for', async () => {
    const chosen = await chooseRuntime(settings({ backend: 'onnxruntime-node' }), present());
    expect(chosen).toMatchObject({ runtime: portable, fallback: null });
  });

  it('is never another one than was asked for by name', async () => {
    const chosen = chooseRuntime(settings({ backend: 'native' }), missing);
    await expect(chosen).rejects.toThrow(ConfigurationError);
    await expect(chosen).rejects.toThrow(
      /^ALTUP_BACKEND: native cannot be used: the native addon is not built;/,
    );
  });
});

describe('the execution provider', () => {
  it('is CUDA by itself only for fp16 and bf16, and only where it computes', async () => {
    const fp16 = settings({ precisions: ['fp16'] });
    expect((await chooseRuntime(fp16, present('CUDA'))).runtime.executionProvider).toBe('cuda');
    expect(await chooseRuntime(fp16, present())).toMatchObject({
      runtime: native,
      because:
        'cuda cannot be used: /lib/libshared.so: cannot open shared object file: No such file or directory',
    });
    const mixed = await chooseRuntime(settings({ precisions: ['fp16', 'int4'] }), present('CUDA'));
    expect(mixed).toMatchObject({
      runtime: native,
      because: 'cuda cannot be used: auto takes it only for fp16, bf16, not for int4',
    });
  });

  it('is refused where no precision can run on it, before anything is exported', async () => {
    const bf16 = settings({ precisions: ['bf16'] });
    expect((await chooseRuntime(bf16, present('CUDA'))).runtime.executionProvider).toBe('cuda');
    await expect(chooseRuntime(bf16, present())).rejects.toThrow(
      /^ALTUP_PRECISION: bf16 cannot run on cpu: only cuda and tensorrt have kernels for bfloat16; .* \(cuda cannot be used: /,
    );
    const fp32 = settings({ executionProvider: 'cuda' });
    await expect(chooseRuntime(fp32, present('CUDA'))).rejects.toThrow(
      'ALTUP_PRECISION: fp32 cannot run on cuda: the CUDA provider supports attention only over caches of 16 bits; export it as fp16, bf16, int8, int4',
    );
  });

  it.each(['cuda', 'tensorrt', 'webgpu'] as const)(
    '%s is taken where it computes',
    async (executionProvider) => {
      const chosen = await chooseRuntime(
        settings({ executionProvider, precisions: ['fp32', 'fp16'] }),
        present('CUDA', 'TensorRT', 'WebGPU'),
      );
      expect(chosen.runtime).toEqual({ backend: 'native', executionProvider });
    },
  );

  it.each([
    [
      'cuda',
      /^ALTUP_EXECUTION_PROVIDER: cuda cannot be used: \/lib\/libshared\.so: cannot open.*; it needs an NVIDIA/,
    ],
    [
      'tensorrt',
      /^ALTUP_EXECUTION_PROVIDER: tensorrt cannot be used: \/lib\/libshared\.so.*; it needs TensorRT/,
    ],
    [
      'webgpu',
      /^ALTUP_EXECUTION_PROVIDER: webgpu cannot be used: Failed to get a WebGPU adapter: No supported.*Vulkan/,
    ],
  ] as const)('%s is refused where it does not, with what is missing', async (executionProvider, message) => {
    const chosen = chooseRuntime(settings({ executionProvider }), present());
    await expect(chosen).rejects.toThrow(ConfigurationError);
    await expect(chosen).rejects.toThrow(message);
  });

  it('is the CPU or WebGPU with onnxruntime-node, and nothing else', async () => {
    for (const executionProvider of ['cpu', 'webgpu'] as const) {
      const { runtime } = await chooseRuntime(settings({ executionProvider }), missing);
      expect(runtime).toEqual({ backend: 'onnxruntime-node', executionProvider });
    }
    await expect(chooseRuntime(settings({ executionProvider: 'cuda' }), missing)).rejects.toThrow(
      /^ALTUP_EXECUTION_PROVIDER: cuda needs the native addon, which is not used: the native addon is not built/,
    );
  });
});
