import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exportCommand } from '../../../src/cli/export-command.ts';
import { SafetensorsFile } from '../../../src/export/checkpoint/safetensors-file.ts';
import { sliceCheckpoint } from '../../../src/export/derived/slice-checkpoint.ts';
import { captureOutput } from '../../support/capture-output.ts';
import { changeConfig, copyCheckpoint } from '../../support/checkpoint-copy.ts';
import { goldenFolder } from '../../support/golden.ts';
import { promptLogits } from '../../support/prompt-logits.ts';
import { readCheckpoint } from '../../support/read-checkpoint.ts';
import { float32, writeSafetensors } from '../../support/safetensors-writer.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { worstDifference } from '../../support/worst-difference.ts';

const golden = join(import.meta.dirname, '../../golden/slice');
const base = goldenFolder('gemma3n-k4');
const options = { onProgress: () => {}, signal: new AbortController().signal };

async function sliceFile(slice: object): Promise<string> {
  const file = join(await temporaryFolder(), 'mine.json');
  await writeFile(file, JSON.stringify(slice));
  return file;
}

describe('a slice of a Gemma 3n', () => {
  it('gives the logits of transformers for the model that torch has sliced', async () => {
    const out = join(await temporaryFolder(), 'sliced');
    expect(await sliceCheckpoint(base, join(golden, 'slice.json'), out, options)).toEqual({ isNew: true });
    expect(await sliceCheckpoint(base, join(golden, 'slice.json'), out, options)).toEqual({ isNew: false });
    const file = await SafetensorsFile.open(join(golden, 'golden.safetensors'));
    try {
      const ids = Array.from(new BigInt64Array((await file.read('input_ids')).buffer), Number);
      const logits = new Float32Array((await file.read('logits')).buffer);
      expect(worstDifference(await promptLogits(out, ids), logits)).toBeLessThan(2e-4);
    } finally {
      await file.close();
    }
  });

  it('that leaves nothing out is the model', async () => {
    const out = join(await temporaryFolder(), 'sliced');
    await sliceCheckpoint(base, await sliceFile({ skip_layers: [], intermediate_size: 128 }), out, options);
    expect(await readCheckpoint(out)).toEqual(await readCheckpoint(base));
  });

  it('of a multimodal checkpoint is its text model’s, and the towers stay as they are', async () => {
    const folder = join(await temporaryFolder(), 'whole');
    await cp(base, folder, { recursive: true });
    const text = JSON.parse(await readFile(join(base, 'config.json'), 'utf8'));
    await writeFile(
      join(folder, 'config.json'),
      JSON.stringify({ model_type: 'gemma3n', text_config: text, vision_config: {} }),
    );
    const tower = {
      'model.vision_tower.layers.1.mlp.gate_proj.weight': float32([300, 2], Array(600).fill(1)),
    };
    const inside = Object.entries(await readCheckpoint(base)).map(([name, tensor]) => [
      name.replace(/^model\./, 'model.language_model.'),
      tensor,
    ]);
    await writeSafetensors(join(folder, 'model.safetensors'), { ...Object.fromEntries(inside), ...tower });
    const [whole, alone] = [join(folder, 'out'), join(folder, 'alone')];
    await sliceCheckpoint(folder, join(golden, 'slice.json'), whole, options);
    await sliceCheckpoint(base, join(golden, 'slice.json'), alone, options);
    const found = await readCheckpoint(whole);
    const [name] = Object.keys(tower);
    expect(found[name!]).toEqual(expect.objectContaining({ shape: [300, 2] }));
    delete found[name!];
    const expected = Object.entries(await readCheckpoint(alone)).map(([tensor, value]) => [
      tensor.replace(/^model\./, 'model.language_model.'),
      value,
    ]);
    expect(found).toEqual(Object.fromEntries(expected));
    const config = JSON.parse(await readFile(join(whole, 'config.json'), 'utf8'));
    expect(config.text_config).toMatchObject({ num_hidden_layers: 8, num_kv_shared_layers: 2 });
  });
});

describe('what is no slice of the model', () => {
  it.each<[object, RegExp]>([
    [
      { skip_layers: [7], intermediate_size: 64 },
      /skip_layers is \[7\]; expected not layer 7: later layers read/,
    ],
    [{ skip_layers: [12], intermediate_size: 64 }, /skip_layers.*integers from 0 to 11/],
    [
      { skip_layers: Array.from({ length: 12 }, (_, i) => i), intermediate_size: 64 },
      /at least one layer to keep/,
    ],
    [{ skip_layers: [1], intermediate_size: Array(12).fill(64) }, /a list of 11/],
    [{ skip_layers: [1], intermediate_size: 129 }, /from 1 to 128/],
    [{ skip_layers: [1] }, /intermediate_size is missing/],
    [{ skip: [1], intermediate_size: 64 }, /skip is .*; expected no such field/],
  ])('%j is refused', async (slice, message) => {
    const out = join(await temporaryFolder(), 'sliced');
    await expect(sliceCheckpoint(base, await sliceFile(slice), out, options)).rejects.toThrow(message);
  });

  it('E2B is refused of what is not E4B, and any of another family', async () => {
    const out = join(await temporaryFolder(), 'sliced');
    await expect(sliceCheckpoint(base, 'E2B', out, options)).rejects.toThrow(
      /has 12 layers of width up to 128; E2B can only be sliced from E4B, which has 35 layers of width 16384/,
    );
    await expect(sliceCheckpoint(goldenFolder('gemma3'), 'E2B', out, options)).rejects.toThrow(/model_type/);
  });
});

it('E2B of E4B is Google’s: without layers 20 to 24, half as wide', async () => {
  const folder = await copyCheckpoint('gemma3n-k4');
  await changeConfig(folder, {
    num_hidden_layers: 35,
    num_kv_shared_layers: 15,
    intermediate_size: 16_384,
    layer_types: undefined,
    activation_sparsity_pattern: undefined,
  });
  const out = join(folder, 'E2B');
  await writeSafetensors(join(folder, 'model.safetensors'), { 'model.norm.weight': float32([1], [1]) });
  await sliceCheckpoint(folder, 'E2B', out, options);
  const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'));
  expect(config).toMatchObject({
    num_hidden_layers: 30,
    num_kv_shared_layers: 10,
    intermediate_size: Array(30).fill(8192),
    activation_sparsity_pattern: [...Array(10).fill(0.95), ...Array(20).fill(0)],
  });
  const full = config.layer_types.flatMap((kind: string, i: number) =>
    kind === 'full_attention' ? [i] : [],
  );
  expect(full).toEqual([4, 9, 14, 19, 24, 29]);
});

it('altup export --slice writes a checkpoint of its own beside the base and exports it', async () => {
  const folder = await copyCheckpoint('gemma3n-k4');
  const slice = await sliceFile({ skip_layers: [2], intermediate_size: 64 });
  const { code, stdout } = await captureOutput(() => exportCommand([folder, '--slice', slice]));
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${folder}-mine/onnx/fp32: written\n` });
  expect((await readdir(`${folder}-mine`)).sort()).toEqual([
    'config.json',
    'derived-from.json',
    'model.safetensors',
    'onnx',
  ]);
  const both = await captureOutput(() => exportCommand([folder, '--slice', slice, '--adapter', folder]));
  expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('cannot be combined') });
});
