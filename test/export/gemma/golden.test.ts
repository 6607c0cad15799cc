import { describe, expect, it } from 'vitest';
import { copyCheckpoint } from '../../support/checkpoint-copy.ts';
import { gemmaVariants, readGolden } from '../../support/golden.ts';
import { promptLogits } from '../../support/prompt-logits.ts';
import { worstDifference } from '../../support/worst-difference.ts';

describe.each(gemmaVariants)('exported %s', (variant) => {
  it('gives the logits of transformers at every position, five windows long', async () => {
    const { input_ids: ids, logits } = await readGolden(variant);
    const [rows, count, vocabulary] = logits!.dims as [number, number, number];
    const checkpoint = await copyCheckpoint(variant);
    for (let row = 0; row < rows; row += 1) {
      const tokens = Array.from((ids!.data as BigInt64Array).slice(row * count, (row + 1) * count), Number);
      const size = count * vocabulary;
      const expected = (logits!.data as Float32Array).subarray(row * size, (row + 1) * size);
      expect(worstDifference(await promptLogits(checkpoint, tokens), expected)).toBeLessThan(2e-4);
    }
  });
});
