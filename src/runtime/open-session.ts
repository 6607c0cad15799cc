import { readManifest } from '../catalog/manifest-file.ts';
import { ConfigurationError } from '../errors.ts';
import { loadNativeAddon } from './native/native-addon.ts';
import { NativeSession } from './native/native-session.ts';
import { OnnxruntimeNodeSession } from './portable/onnxruntime-node-session.ts';
import type { Runtime, Session, SessionOptions } from './session.ts';

/** Opens the graphs of an export folder. @throws ConfigurationError when the manifest is missing or damaged */
export async function openSession(
  options: SessionOptions,
  { backend, executionProvider }: Runtime,
): Promise<Session> {
  const manifest = await readManifest(options.folder);
  if (backend === 'onnxruntime-node')
    return OnnxruntimeNodeSession.open(manifest, options, executionProvider);
  const native = loadNativeAddon();
  if (native.addon === null) throw new ConfigurationError(native.reason);
  return NativeSession.open(manifest, options, native, { executionProvider });
}
