import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { SafetensorsFile } from '../../src/export/checkpoint/safetensors-file.ts';

/** The folder of a variant's checkpoint and golden data. */
export function goldenFolder(variant: string): string {
  return join(import.meta.dirname, '..', 'golden', folderOf(variant), variant);
}

function folderOf(variant: string): string {
  const isOneOf = (variants: readonly string[]) => variants.includes(variant);
  if (isOneOf(gemmaVariants)) return 'gemma';
  return isOneOf(t5Relatives) ? 't5-relatives' : 't5';
}

/** Models that training/t5_golden.py writes. */
const t5Relatives = ['t5-1.0', 't5-saved-again', 't5-silu', 'mt5', 'umt5'] as const;

/** Encoder-decoders that training/golden.py and training/t5_golden.py write. */
export const goldenVariants = [
  'dense',
  'altup-k2',
  'altup-k4',
  'sameup-k2',
  'recycled-k2',
  'sequence-altup',
  'stride-skip',
  'average-pool',
  'moe',
  'altup-moe',
  'altup-sequence-moe',
  'recycled-average-pool',
  'recycled-identity',
  'altup-k1-identity',
  'sequence-identity',
  ...t5Relatives,
] as const;

/** Models that training/gemma_golden.py writes. */
export const gemmaVariants = readdirSync(join(import.meta.dirname, '../golden/gemma'));

/** The number of encoder output positions for rows of these lengths; a model that averages tokens has fewer. */
export async function encoderPositions(variant: string, lengths: Iterable<number>): Promise<number[]> {
  const { altup } = JSON.parse(await readFile(join(goldenFolder(variant), 'config.json'), 'utf8'));
  const stride = altup?.sequence?.method === 'average' ? altup.sequence.stride : 1;
  return Array.from(lengths, (length) => Math.ceil(length / stride));
}

const views = {
  F32: (buffer: ArrayBuffer) => ['float32', new Float32Array(buffer)] as const,
  I32: (buffer: ArrayBuffer) => ['int32', new Int32Array(buffer)] as const,
  I64: (buffer: ArrayBuffer) => ['int64', new BigInt64Array(buffer)] as const,
};

/** All tensors of a variant's golden.safetensors. */
export async function readGolden(variant: string): Promise<Record<string, Tensor>> {
  const file = await SafetensorsFile.open(join(goldenFolder(variant), 'golden.safetensors'));
  try {
    const tensors: Record<string, Tensor> = {};
    for (const [name, { dtype, shape }] of file.tensors) {
      const [type, values] = views[dtype as keyof typeof views]((await file.read(name)).buffer);
      tensors[name] = new Tensor(type, values as never, shape);
    }
    return tensors;
  } finally {
    await file.close();
  }
}
