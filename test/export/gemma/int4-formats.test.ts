import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { expect, it } from 'vitest';
import { ensureExport } from '../../../src/export/export-checkpoint.ts';
import { copyCheckpoint } from '../../support/checkpoint-copy.ts';

/** Bits per code of the linear layers, by the last part of their names. */
async function bitsOf(variant: string, precision: 'int8' | 'int4'): Promise<Record<string, number[]>> {
  const { folder } = await ensureExport(await copyCheckpoint(variant), precision);
  const { graph } = fromBinary(ModelProtoSchema, await readFile(join(folder, 'decoder.onnx')));
  const bits: Record<string, Set<number>> = {};
  for (const node of graph!.node.filter(({ opType }) => opType === 'QuantizedMatMul')) {
    const kind = /(\w+)(?:\.weight)?$/.exec(node.input[1]!)![1]!;
    bits[kind] ??= new Set();
    bits[kind].add(Number(node.attribute.find(({ name }) => name === 'bits')!.i));
  }
  return Object.fromEntries(Object.entries(bits).map(([kind, found]) => [kind, [...found]]));
}

it('a narrow Gemma keeps 8 bits in int4 where 4 cost it most', async () => {
  const bits = await bitsOf('gemma3', 'int4');
  expect(bits).toMatchObject({ q_proj: [4], gate_proj: [4], up_proj: [8] });
  expect(bits).toMatchObject({ k_proj: [8], v_proj: [8], o_proj: [4] });
  const [head] = Object.entries(bits).filter(([kind]) => !kind.endsWith('_proj'));
  expect(head![1]).toEqual([4]);
});

it('int8 is 8 bits throughout', async () => {
  expect(new Set(Object.values(await bitsOf('gemma3', 'int8')).flat())).toEqual(new Set([8]));
});
