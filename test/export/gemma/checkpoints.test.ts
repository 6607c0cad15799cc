import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureExport } from '../../../src/export/export-checkpoint.ts';
import { copyCheckpoint } from '../../support/checkpoint-copy.ts';
import { promptLogits } from '../../support/prompt-logits.ts';
import { readCheckpoint } from '../../support/read-checkpoint.ts';
import { float32, type WrittenTensor, writeSafetensors } from '../../support/safetensors-writer.ts';

type Tensors = Record<string, WrittenTensor>;

const tokens = [5, 91, 40, 7, 7, 63, 12, 88, 30, 21, 64];

/** The upper halves of float32 numbers. */
function asBfloat16({ shape, bytes }: WrittenTensor): WrittenTensor {
  const halves = new Uint16Array(bytes.slice().buffer).filter((_, n) => n % 2 === 1);
  return { dtype: 'BF16', shape, bytes: new Uint8Array(halves.buffer) };
}

function renamed(tensors: Tensors, name: (old: string) => string): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([old, tensor]) => [name(old), tensor]));
}

/** Writes a checkpoint like a large one on the Hub: two shards and an index. */
async function writeShards(folder: string, tensors: Tensors): Promise<void> {
  const names = Object.keys(tensors);
  const shardOf = (n: number) => `model-0000${1 + (n % 2)}-of-00002.safetensors`;
  const weightMap = Object.fromEntries(names.map((name, n) => [name, shardOf(n)]));
  for (const shard of new Set(Object.values(weightMap))) {
    const own = Object.entries(tensors).filter(([name]) => weightMap[name] === shard);
    await writeSafetensors(join(folder, shard), Object.fromEntries(own));
  }
  await rm(join(folder, 'model.safetensors'));
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
}

async function makeMultimodal(folder: string, modelType: string, tensors: Tensors): Promise<void> {
  const text = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'));
  const media = { image_token_id: 94, audio_token_id: 93, boi_token_id: 92 };
  const outer = {
    model_type: modelType,
    text_config: text,
    vision_config: {},
    eos_token_id: [1, 95],
    ...media,
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify(outer));
  await writeShards(folder, tensors);
}

describe('a multimodal checkpoint in bfloat16 shards gives what its text model gives by itself', () => {
  it.each([
    ['gemma3n', 'gemma3n-k4', 'model.language_model.', 'model.audio_tower.x.weight'],
    ['gemma3', 'gemma3', 'language_model.model.', 'vision_tower.vision_model.x.weight'],
  ])('%s', async (modelType, variant, prefix, other) => {
    const alone = await copyCheckpoint(variant);
    const weights = await readCheckpoint(alone);
    const halves = Object.fromEntries(
      Object.entries(weights).map(([name, each]) => [name, asBfloat16(each)]),
    );
    await writeSafetensors(join(alone, 'model.safetensors'), halves);

    const whole = await copyCheckpoint(variant);
    const inside = renamed(halves, (name) => name.replace(/^model\./, prefix));
    await makeMultimodal(whole, modelType, { ...inside, [other]: float32([2], [1, 2]) });
    expect(await promptLogits(whole, tokens)).toEqual(await promptLogits(alone, tokens));

    const { manifest } = await ensureExport(whole, 'fp32');
    expect(manifest).toMatchObject({
      family: modelType,
      graphs: { encoder: null },
      specialTokens: { eos: [1, 95], bos: 2, pad: 0, decoderStart: null },
      mediaTokens: { image: [94, 92], audio: [93] },
    });
  });
});

describe('tokens whose embeddings are in another tower', () => {
  const media = async (changes: object) => {
    const folder = await copyCheckpoint('gemma3n-k4');
    const text = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'));
    const outer = { model_type: 'gemma3n', text_config: text, image_token_id: 94, ...changes };
    await writeFile(join(folder, 'config.json'), JSON.stringify(outer));
    return (await ensureExport(folder, 'fp32')).manifest.mediaTokens;
  };

  it('are media from vocab_offset on', async () => {
    const offsets = { vision_config: { vocab_offset: 80 }, audio_config: { vocab_offset: 90 } };
    const { image, audio } = await media({ ...offsets, audio_token_id: 91 });
    expect(image.toSorted((a, b) => a - b)).toEqual([80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 94]);
    expect(audio.toSorted((a, b) => a - b)).toEqual([90, 91, 92, 93, 94, 95]);
  });

  it('are none where the offsets lie past the vocabulary', async () => {
    expect((await media({ vision_config: {} })).image).toEqual([94]);
  });

  it('are refused where they are no number', async () => {
    await expect(media({ vision_config: { vocab_offset: 'x' } })).rejects.toThrow(
      'vision_config.vocab_offset',
    );
  });
});

describe('tensors that the model has no use for', () => {
  const shared = 'model.layers.9.self_attn.k_proj.weight';
  const withTensor = async (name: string) => {
    const folder = await copyCheckpoint('gemma3n-k4');
    const weights = await readCheckpoint(folder);
    await writeSafetensors(join(folder, 'model.safetensors'), { ...weights, [name]: float32([1], [1]) });
    return folder;
  };

  it('keys of a layer that reads those of another are left out', async () => {
    const plain = await copyCheckpoint('gemma3n-k4');
    expect(await promptLogits(await withTensor(shared), tokens)).toEqual(await promptLogits(plain, tokens));
  });

  it('others are refused by name', async () => {
    const [unknown, vision] = ['model.layers.9.self_attn.sinks', 'model.vision_tower.x'];
    for (const name of [unknown, vision]) {
      await expect(ensureExport(await withTensor(name), 'fp32')).rejects.toThrow(`holds ${name}`);
    }
  });
});

it('describes what the engine needs', async () => {
  const { manifest } = await ensureExport(await copyCheckpoint('gemma3n-k4'), 'fp32');
  const sliding = { kvHeads: 2, headSize: 16, slidingWindow: 8 };
  const full = { ...sliding, slidingWindow: null };
  expect(manifest).toMatchObject({
    family: 'gemma3n',
    altup: { numBlocks: 4 },
    vocabSize: 96,
    cache: [sliding, sliding, sliding, full, sliding, sliding, sliding, full],
    cross: [],
    contextLength: 512,
    encoderContextLength: null,
    mediaTokens: { image: [], audio: [] },
  });
});
