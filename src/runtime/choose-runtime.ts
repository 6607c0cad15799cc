import { ConfigurationError } from '../errors.ts';
import { type LoadedAddon, loadNativeAddon, type MissingAddon } from './native-addon.ts';
import type { Runtime } from './session.ts';

export interface RuntimeSettings {
  backend: 'auto' | Runtime['backend'];
  executionProvider: 'auto' | Runtime['executionProvider'];
}

export interface ChosenRuntime {
  runtime: Runtime;
  /** Why it is not the native addon, where that was not asked for; null: it is, or was. */
  fallback: string | null;
}

/** @throws ConfigurationError when what was asked for by name cannot be had */
export function chooseRuntime(
  { backend }: RuntimeSettings,
  load: () => LoadedAddon | MissingAddon = loadNativeAddon,
): ChosenRuntime {
  const executionProvider = 'cpu';
  if (backend === 'onnxruntime-node') return { runtime: { backend, executionProvider }, fallback: null };
  const native = load();
  if (native.addon !== null) return { runtime: { backend: 'native', executionProvider }, fallback: null };
  if (backend === 'native') {
    throw new ConfigurationError(
      `ALTUP_BACKEND: native cannot be used: ${native.reason}; ALTUP_BACKEND=auto goes on without it`,
    );
  }
  return { runtime: { backend: 'onnxruntime-node', executionProvider }, fallback: native.reason };
}
