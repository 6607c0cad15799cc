import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CheckpointWeights } from '../../../src/export/checkpoint/checkpoint-weights.ts';
import { WeightSource } from '../../../src/export/checkpoint/weight-source.ts';
import type { Weight } from '../../../src/export/onnx/weight.ts';
import { bits16, float32, type WrittenTensor, writeSafetensors } from '../../support/safetensors-writer.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

async function sourceOf(tensors: Record<string, WrittenTensor>): Promise<WeightSource> {
  const folder = await temporaryFolder();
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  const checkpoint = await CheckpointWeights.open(folder);
  onTestFinished(() => checkpoint.close());
  return new WeightSource(checkpoint);
}

async function valuesOf(weight: Weight): Promise<Float32Array> {
  const pieces: Uint8Array[] = [];
  for await (const { bytes } of weight.chunks()) pieces.push(bytes);
  return new Float32Array(new Uint8Array(Buffer.concat(pieces)).buffer);
}

const wide = (rows: number, columns: number) =>
  float32(
    [rows, columns],
    Array.from({ length: rows * columns }, (_, n) => n),
  );

describe('WeightSource', () => {
  it('gives float32 whatever the checkpoint stores', async () => {
    const source = await sourceOf({
      full: float32([2], [1, 2]),
      half: bits16('F16', [2], [0x3c00, 0x4000]),
      brain: bits16('BF16', [2], [0x3f80, 0x4000]),
    });
    for (const name of ['full', 'half', 'brain']) {
      expect(await valuesOf(source.asStored(name, [2]))).toEqual(Float32Array.of(1, 2));
      expect(await source.values(name, [2])).toEqual(Float32Array.of(1, 2));
    }
  });

  it('gives a tensor larger than one piece whole', async () => {
    const [rows, columns] = [3000, 1000];
    const source = await sourceOf({ a: wide(rows, columns) });
    const values = await valuesOf(source.asStored('a', [rows, columns]));
    expect(values.length).toBe(rows * columns);
    expect(values.every((value, n) => value === n)).toBe(true);
  });

  // Tiles are 32 × 32, panels hold 2²⁰ numbers: shapes at, below and above these limits.
  it.each([
    [1, 1],
    [32, 32],
    [33, 31],
    [1, 70],
    [70, 1],
    [1100, 1030],
    [2048, 600],
  ])('transposes [%i, %i]', async (rows, columns) => {
    const source = await sourceOf({ a: wide(rows, columns) });
    const weight = source.transposed('a', [rows, columns]);
    expect(weight.tensors).toEqual([{ name: 'a', type: 'float32', dims: [columns, rows] }]);
    const values = await valuesOf(weight);
    expect(values.length).toBe(rows * columns);
    const misplaced = values.findIndex((value, n) => value !== (n % rows) * columns + Math.floor(n / rows));
    expect(misplaced).toBe(-1);
  });

  it.each<[string, WrittenTensor, string]>([
    ['NaN', float32([2], [1, Number.NaN]), 'a holds NaN (number 1)'],
    ['infinity', float32([3], [1, 2, Number.NEGATIVE_INFINITY]), 'a holds -Infinity (number 2)'],
    ['a NaN of float16', bits16('F16', [2], [0x7e00, 0x3c00]), 'a holds NaN (number 0)'],
    ['an infinity of bfloat16', bits16('BF16', [2], [0x3f80, 0x7f80]), 'a holds Infinity (number 1)'],
  ])('refuses %s by file, tensor and place, however it is read', async (_what, tensor, message) => {
    const source = await sourceOf({ a: tensor });
    const size = tensor.shape[0]!;
    await expect(valuesOf(source.asStored('a', [size]))).rejects.toThrow(message);
    await expect(valuesOf(source.plusOne('a', [size]))).rejects.toThrow(/model\.safetensors: /);
    await expect(source.values('a', [size])).rejects.toThrow(message);
    const matrix = await sourceOf({ a: { ...tensor, shape: [1, size] } });
    await expect(valuesOf(matrix.transposed('a', [1, size]))).rejects.toThrow(message);
    await expect(Array.fromAsync(matrix.rows('a', [1, size])())).rejects.toThrow(message);
  });

  it('finds a number that is not finite beyond the first piece', async () => {
    const values = new Array<number>(1_500_000).fill(0.5);
    values[1_234_567] = Number.NaN;
    const source = await sourceOf({ a: float32([values.length], values) });
    await expect(valuesOf(source.asStored('a', [values.length]))).rejects.toThrow('(number 1234567)');
  });

  it('tells whether two tensors hold other numbers', async () => {
    const source = await sourceOf({
      a: float32([2], [1, 2]),
      same: bits16('BF16', [2], [0x3f80, 0x4000]),
      other: float32([2], [1, 2.5]),
      wide: float32([1, 2], [1, 2]),
    });
    expect(await source.differ('a', 'same', [2])).toBe(false);
    expect(await source.differ('a', 'other', [2])).toBe(true);
    expect(await source.differ('a', 'a', [2])).toBe(false);
    expect(await source.differ('a', 'missing', [2])).toBe(false);
    await expect(source.differ('wide', 'a', [2])).rejects.toThrow('wide is [1,2]; config.json requires [2]');
  });

  it('counts each tensor once', async () => {
    const source = await sourceOf({ a: wide(2, 3), b: wide(5, 1) });
    source.asStored('a', [2, 3]);
    source.asStored('a', [2, 3]);
    expect(source.parameters).toBe(6);
  });

  it('refuses another shape, another dtype and tensors without a place', async () => {
    const source = await sourceOf({
      a: wide(2, 3),
      ids: { dtype: 'I64', shape: [1], bytes: new Uint8Array(8) },
    });
    expect(() => source.asStored('a', [3, 2])).toThrow(
      /model\.safetensors: a is \[2,3\]; config\.json requires \[3,2\]/,
    );
    expect(() => source.asStored('ids', [1])).toThrow(/ids is I64; expected F32, F16 or BF16/);
    expect(() => source.asStored('b', [1])).toThrow(/has no tensor b/);
    expect(() => source.refuseUnused(() => false)).toThrow(/holds a and 1 more; according to config\.json/);
    expect(() => source.refuseUnused((name) => name === 'a')).toThrow(/holds ids; according to config\.json/);
    expect(() => source.refuseUnused(() => true)).not.toThrow();
  });
});
