import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../src/errors.ts';
import { chooseRuntime } from '../../src/runtime/choose-runtime.ts';
import type { LoadedAddon } from '../../src/runtime/native-addon.ts';

const missing = () => ({ addon: null, reason: 'the native addon is not built' }) as const;
const present = () => ({ addon: {}, library: 'libonnxruntime.so.1' }) as LoadedAddon;
const native = { backend: 'native', executionProvider: 'cpu' };
const portable = { backend: 'onnxruntime-node', executionProvider: 'cpu' };

describe('the backend', () => {
  it('is the native addon where that loads', () => {
    for (const backend of ['auto', 'native'] as const) {
      const chosen = chooseRuntime({ backend, executionProvider: 'auto' }, present);
      expect(chosen).toEqual({ runtime: native, fallback: null });
    }
  });

  it('is onnxruntime-node where it does not, and says why', () => {
    expect(chooseRuntime({ backend: 'auto', executionProvider: 'auto' }, missing)).toEqual({
      runtime: portable,
      fallback: 'the native addon is not built',
    });
  });

  it('is onnxruntime-node where that is asked for', () => {
    expect(chooseRuntime({ backend: 'onnxruntime-node', executionProvider: 'auto' }, present)).toEqual({
      runtime: portable,
      fallback: null,
    });
  });

  it('is never another one than was asked for by name', () => {
    const choose = () => chooseRuntime({ backend: 'native', executionProvider: 'auto' }, missing);
    expect(choose).toThrow(ConfigurationError);
    expect(choose).toThrow(/^ALTUP_BACKEND: native cannot be used: the native addon is not built;/);
  });
});
