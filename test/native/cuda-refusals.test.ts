import { expect, it } from 'vitest';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { NativeSession } from '../../src/runtime/native/native-session.ts';
import { copyShipped } from '../support/checkpoint-copy.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { describeNative } from './native-addon.ts';

describeNative('CUDA', (native) => {
  it.each([
    ['austen-gemma3', 'fp32', 'fp16, bf16, int8, int4'],
    ['austen-t5-dense', 'fp32', 'fp16, bf16'],
    ['austen-t5-dense', 'int8', 'fp16, bf16'],
    ['austen-t5-dense', 'int4', 'fp16, bf16'],
  ] as const)('refuses %s in %s before it looks for a device', async (model, precision, fitting) => {
    const out = await temporaryFolder();
    const { folder, manifest } = await ensureExport(await copyShipped(model), precision, { out });
    const options = { folder, slots: 1, maxContext: 64, threads: 1 };
    await expect(
      NativeSession.open(manifest, options, native, { executionProvider: 'cuda' }),
    ).rejects.toThrow(
      `${folder} is ${precision}: the CUDA provider supports attention only over caches of 16 bits; export it as ${fitting}`,
    );
  });
});
