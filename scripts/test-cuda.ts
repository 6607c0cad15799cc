import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureExport } from '../src/export/export-checkpoint.ts';
import { loadNativeAddon, nativeFolder } from '../src/runtime/native/native-addon.ts';
import { NativeSession } from '../src/runtime/native/native-session.ts';

// Runs the tests that need a GPU: first the operators and the sampler, then whole models. Fails without a GPU.

/** The reason why no model can be opened on CUDA; null if one can. */
async function whyNot(): Promise<string | null> {
  const native = loadNativeAddon();
  if (native.addon === null) return native.reason;
  const checkpoint = join(import.meta.dirname, '../models/austen-t5-altup-k2');
  const { folder, manifest } = await ensureExport(checkpoint, 'fp16');
  const options = { folder, slots: 1, maxContext: 64, threads: 1 };
  try {
    await (await NativeSession.open(manifest, options, native, { executionProvider: 'cuda' })).close();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function run(command: string, args: readonly string[], cwd: string): void {
  const env = { ...process.env, ALTUP_TEST_CUDA: '1' };
  const { status } = spawnSync(command, args, { cwd, env, stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}

const reason = await whyNot();
if (reason !== null) {
  console.error(`no CUDA device: ${reason}`);
  process.exitCode = 1;
} else {
  run('cargo', ['test', '--release', '--locked', '--lib', '--', 'ops::', 'device_logits::'], nativeFolder);
  run('npx', ['vitest', 'run', '--project', 'cuda'], join(import.meta.dirname, '..'));
}
