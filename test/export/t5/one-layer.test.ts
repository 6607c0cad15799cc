import { join } from 'node:path';
import { expect, it } from 'vitest';
import { copyCheckpoint } from '../../support/checkpoint-copy.ts';
import { firstLogits } from '../../support/first-logits.ts';
import { readCheckpoint } from '../../support/read-checkpoint.ts';
import { writeSafetensors } from '../../support/safetensors-writer.ts';
import { worstDifference } from '../../support/worst-difference.ts';

/** A golden model reduced to its first layers. */
async function cut(variant: string, layers: { encoder: number; decoder: number }): Promise<string> {
  const config = { num_layers: layers.encoder, num_decoder_layers: layers.decoder };
  const folder = await copyCheckpoint(variant, config);
  const kept = Object.entries(await readCheckpoint(folder)).filter(([name]) => {
    const [, side, layer] = /^(encoder|decoder)\.block\.(\d+)\./.exec(name) ?? [];
    return side === undefined || Number(layer) < layers[side as 'encoder' | 'decoder'];
  });
  await writeSafetensors(join(folder, 'model.safetensors'), Object.fromEntries(kept));
  return folder;
}

// A single layer has no CorrectPredict. Encoder and decoder differ in depth, so that a mix-up shows.
it.each([
  { encoder: 1, decoder: 1 },
  { encoder: 1, decoder: 2 },
  { encoder: 3, decoder: 1 },
])('identical blocks equal the dense model with layers $encoder + $decoder', async (layers) => {
  const dense = await firstLogits(await cut('dense', layers));
  expect(worstDifference(await firstLogits(await cut('recycled-identity', layers)), dense)).toBeLessThan(
    1e-5,
  );
  expect(worstDifference(await firstLogits(await cut('recycled-k2', layers)), dense)).toBeGreaterThan(1e-2);
});
