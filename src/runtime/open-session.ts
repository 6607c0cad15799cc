import { readManifest } from '../catalog/manifest-file.ts';
import { OnnxruntimeNodeSession } from './onnxruntime-node-session.ts';
import type { Session, SessionOptions } from './session.ts';

/** Opens the graphs of an export folder. @throws ConfigurationError when the manifest is missing or damaged */
export async function openSession(options: SessionOptions): Promise<Session> {
  return OnnxruntimeNodeSession.open(await readManifest(options.folder), options);
}
