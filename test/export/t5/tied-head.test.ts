import { join } from 'node:path';
import { expect, it } from 'vitest';
import { copyCheckpoint } from '../../support/checkpoint-copy.ts';
import { firstLogits } from '../../support/first-logits.ts';
import { readCheckpoint } from '../../support/read-checkpoint.ts';
import { float32, writeSafetensors } from '../../support/safetensors-writer.ts';
import { worstDifference } from '../../support/worst-difference.ts';

const d = 16;

it.each(['shared.weight', 'decoder.embed_tokens.weight'])(
  'a tied head is the table %s times d^-0.5',
  async (name) => {
    const tied = await copyCheckpoint('dense', { tie_word_embeddings: true });
    const untied = await copyCheckpoint('dense');
    const { 'lm_head.weight': _, 'shared.weight': table, ...rest } = await readCheckpoint(untied);
    await writeSafetensors(join(tied, 'model.safetensors'), { ...rest, [name]: table! });
    const values = new Float32Array(table!.bytes.slice().buffer);
    const scaled = float32(
      table!.shape,
      [...values].map((value) => value * d ** -0.5),
    );
    await writeSafetensors(join(untied, 'model.safetensors'), {
      ...rest,
      'shared.weight': table!,
      'lm_head.weight': scaled,
    });

    const [actual, expected] = [await firstLogits(tied), await firstLogits(untied)];
    expect(worstDifference(actual, expected)).toBeLessThan(1e-5);
    expect(Math.max(...expected)).toBeGreaterThan(0.1);
  },
);
