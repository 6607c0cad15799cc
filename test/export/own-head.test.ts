import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { changeConfig, copyCheckpoint } from '../support/checkpoint-copy.ts';
import { firstLogits } from '../support/first-logits.ts';
import { promptLogits } from '../support/prompt-logits.ts';
import { readCheckpoint } from '../support/read-checkpoint.ts';
import { float32, type WrittenTensor, writeSafetensors } from '../support/safetensors-writer.ts';
import { worstDifference } from '../support/worst-difference.ts';

const numbersOf = ({ bytes }: WrittenTensor) => [...new Float32Array(bytes.slice().buffer)];
const times = (tensor: WrittenTensor, factor: number) =>
  float32(
    tensor.shape,
    numbersOf(tensor).map((value) => value * factor),
  );

async function rewrite(
  folder: string,
  change: (tensors: Record<string, WrittenTensor>) => Record<string, WrittenTensor>,
): Promise<string> {
  await writeSafetensors(join(folder, 'model.safetensors'), change(await readCheckpoint(folder)));
  return folder;
}

// The expected behaviour is that of transformers 5, observed by loading such checkpoints with it.
describe('a head of its own is used, whatever tie_word_embeddings says', () => {
  const prompt = [5, 40, 7, 63, 12];

  it.each([
    ['gemma3', 'model.embed_tokens.weight'],
    ['gemma3n-k4', 'model.embed_tokens.weight'],
  ])('in %s', async (variant, table) => {
    const tied = await promptLogits(await copyCheckpoint(variant, { final_logit_softcapping: 1e6 }), prompt);
    const ownHead = async (tie: boolean | undefined) =>
      await rewrite(
        await copyCheckpoint(variant, { tie_word_embeddings: tie, final_logit_softcapping: 1e6 }),
        (tensors) => ({ ...tensors, 'lm_head.weight': times(tensors[table]!, -2) }),
      );
    for (const tie of [true, false, undefined]) {
      const logits = await promptLogits(await ownHead(tie), prompt);
      const doubled = Float32Array.from(tied, (value) => -2 * value);
      expect(worstDifference(logits, doubled)).toBeLessThan(1e-4);
    }
  });

  it.each<[string, { tie?: boolean; scale?: boolean }, number]>([
    ['v1.1 as published', { tie: false }, 1],
    ['v1.1 that transformers 5 saved again', { tie: true, scale: false }, 1],
    ['a head without a word on it', {}, 16 ** -0.5],
    ['both', { tie: false, scale: true }, 16 ** -0.5],
  ])('in T5: %s', async (_what, { tie, scale }, factor) => {
    const published = await firstLogits(await copyCheckpoint('dense'));
    const changed = await copyCheckpoint('dense');
    await changeConfig(changed, { tie_word_embeddings: tie, scale_decoder_outputs: scale });
    const expected = published.map((value) => value * factor);
    expect(worstDifference(await firstLogits(changed), expected)).toBeLessThan(1e-5);
  });
});

it('a head that repeats the table is stored once', async () => {
  const folder = await rewrite(await copyCheckpoint('gemma3'), (tensors) => ({
    ...tensors,
    'lm_head.weight': tensors['model.embed_tokens.weight']!,
  }));
  const { manifest } = await ensureExport(folder, 'fp32');
  const plain = await ensureExport(await copyCheckpoint('gemma3'), 'fp32');
  expect(manifest.files).toEqual(plain.manifest.files);
});

it('a T5 without a head of its own has the table for one, unscaled where the file says so', async () => {
  const own = await rewrite(await copyCheckpoint('dense'), ({ 'lm_head.weight': _, ...rest }) => rest);
  const same = await rewrite(await copyCheckpoint('dense'), (tensors) => ({
    ...tensors,
    'lm_head.weight': times(tensors['shared.weight']!, 1),
  }));
  expect(await firstLogits(own)).toEqual(await firstLogits(same));
});

it.each(['encoder', 'decoder'])('a T5 whose %s has a table of its own is refused by name', async (stack) => {
  const name = `${stack}.embed_tokens.weight`;
  const folder = await rewrite(await copyCheckpoint('dense'), (tensors) => ({
    ...tensors,
    [name]: times(tensors['shared.weight']!, 2),
  }));
  await expect(ensureExport(folder, 'fp32')).rejects.toThrow(
    `model.safetensors: ${name} differs from shared.weight; a T5 has one table for both stacks`,
  );
});
