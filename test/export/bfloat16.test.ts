import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type ModelProto, ModelProtoSchema, type TensorProto, TensorProto_DataType } from 'onnx-buf';
import { InferenceSession } from 'onnxruntime-node';
import { expect, it } from 'vitest';
import { bytesOf, type FloatDtype, toFloat32 } from '../../src/export/checkpoint/floats.ts';
import { bfloat16ToFloat32 } from '../../src/export/checkpoint/half-precision.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { copyShipped } from '../support/checkpoint-copy.ts';
import { promptFeeds, promptLogits } from '../support/prompt-logits.ts';
import { readCheckpoint } from '../support/read-checkpoint.ts';
import { writeSafetensors } from '../support/safetensors-writer.ts';
import { worstDifference } from '../support/worst-difference.ts';

const { BFLOAT16, FLOAT } = TensorProto_DataType;
const prompt = Array.from({ length: 24 }, (_, n) => 10 + 7 * n);

/** A shipped model whose weights are all bfloat16, so that exports in fp32 and bf16 have the same numbers. */
async function inBfloat16(model: string): Promise<string> {
  const checkpoint = await copyShipped(model);
  const tensors = await readCheckpoint(checkpoint);
  for (const [name, { dtype, bytes, ...tensor }] of Object.entries(tensors)) {
    const values = toFloat32(Uint8Array.from(bytes), dtype as FloatDtype);
    tensors[name] = { ...tensor, dtype: 'BF16', bytes: bytesOf(values, 'BF16') };
  }
  await writeSafetensors(join(checkpoint, 'model.safetensors'), tensors);
  return checkpoint;
}

/** Turns every bfloat16 of a graph into float32, because ONNX Runtime computes bfloat16 only on GPUs. */
async function withoutBfloat16(model: ModelProto, folder: string): Promise<void> {
  const data = await readFile(join(folder, 'decoder.onnx.data'));
  const converted = (tensor: TensorProto) => {
    if (tensor.dataType !== BFLOAT16) return;
    const at = (key: string) => Number(tensor.externalData.find((each) => each.key === key)!.value);
    const isInline = tensor.externalData.length === 0;
    const bytes = isInline ? tensor.rawData : data.subarray(at('offset'), at('offset') + at('length'));
    const values = bfloat16ToFloat32(new Uint16Array(Uint8Array.from(bytes).buffer));
    Object.assign(tensor, { dataType: FLOAT, externalData: [], dataLocation: 0 });
    tensor.rawData = new Uint8Array(values.buffer);
  };
  const graph = model.graph!;
  graph.initializer.forEach(converted);
  for (const { attribute, opType } of graph.node)
    for (const each of attribute) {
      if (opType === 'Cast' && each.i === BigInt(BFLOAT16)) each.i = BigInt(FLOAT);
      if (each.t) converted(each.t);
    }
  for (const { type } of [...graph.input, ...graph.output, ...graph.valueInfo])
    if (type?.value.case === 'tensorType' && type.value.value.elemType === BFLOAT16)
      type.value.value.elemType = FLOAT;
}

it.each(['austen-gemma3', 'austen-gemma3n'])(
  '%s in bf16 has its matrices, caches and attention in bfloat16, and computes the same as in fp32',
  async (name) => {
    const checkpoint = await inBfloat16(name);
    const expected = await promptLogits(checkpoint, prompt);
    const { folder, manifest } = await ensureExport(checkpoint, 'bf16');
    const model = fromBinary(ModelProtoSchema, await readFile(join(folder, 'decoder.onnx')));
    const { initializer, input, node } = model.graph!;
    const matrices = initializer.filter(({ dims }) => dims.length === 2 && dims.every((size) => size > 64n));
    expect(matrices.length).toBeGreaterThan(10);
    expect(matrices.filter(({ dataType }) => dataType !== BFLOAT16).map((each) => each.name)).toEqual([]);
    const caches = input.filter((each) => each.name.startsWith('past_key_values.'));
    expect(caches).toHaveLength(2 * manifest.cache.length);
    for (const { type } of caches)
      expect(type!.value.case === 'tensorType' && type!.value.value.elemType).toBe(BFLOAT16);
    expect(node.filter(({ opType }) => opType === 'Cast').length).toBeGreaterThan(50);

    await withoutBfloat16(model, folder);
    const path = join(folder, 'in-float32.onnx');
    await writeFile(path, toBinary(ModelProtoSchema, model));
    const session = await InferenceSession.create(path, { intraOpNumThreads: 1 });
    try {
      const feeds = promptFeeds({ ...manifest, precision: 'fp32' }, prompt);
      const { logits } = await session.run(feeds, ['logits']);
      expect(worstDifference(logits!.data as Float32Array, expected)).toBeLessThan(1e-5);
    } finally {
      await session.release();
    }
  },
);
