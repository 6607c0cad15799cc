import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, TensorProto_DataType, ValueInfoProtoSchema } from 'onnx-buf';
import { InferenceSession } from 'onnxruntime-node';
import { expect, it } from 'vitest';
import { bytesOf, type FloatDtype, toFloat32 } from '../../../src/export/checkpoint/floats.ts';
import { ensureExport } from '../../../src/export/export-checkpoint.ts';
import { copyShipped } from '../../support/checkpoint-copy.ts';
import { promptFeeds, promptLogits } from '../../support/prompt-logits.ts';
import { readCheckpoint } from '../../support/read-checkpoint.ts';
import { writeSafetensors } from '../../support/safetensors-writer.ts';
import { worstDifference } from '../../support/worst-difference.ts';

const prompt = Array.from({ length: 24 }, (_, n) => 10 + 7 * n);
const largestFloat16 = 65504;

/** A checkpoint whose gated products are 2^12 times as large, which the norm behind the layer takes back. */
async function withLargeProducts(model: string): Promise<string> {
  const checkpoint = await copyShipped(model);
  const tensors = await readCheckpoint(checkpoint);
  for (const [name, tensor] of Object.entries(tensors)) {
    if (!name.endsWith('mlp.up_proj.weight')) continue;
    const dtype = tensor.dtype as FloatDtype;
    const values = toFloat32(Uint8Array.from(tensor.bytes), dtype).map((value) => value * 2 ** 12);
    tensors[name] = { ...tensor, bytes: bytesOf(values, dtype) };
  }
  await writeSafetensors(join(checkpoint, 'model.safetensors'), tensors);
  return checkpoint;
}

/** Runs the fp16 export. The CPU computes float16 in float32, so the values at the casts show what a GPU would round. */
async function runFp16(checkpoint: string): Promise<{ logits: Float32Array; casts: Map<string, number> }> {
  const { folder, manifest } = await ensureExport(checkpoint, 'fp16');
  const model = fromBinary(ModelProtoSchema, await readFile(join(folder, 'decoder.onnx')));
  const casts = model.graph!.node.filter(({ opType }) => opType === 'Cast');
  const names = casts.map(({ attribute, input, output }) =>
    attribute[0]!.i === BigInt(TensorProto_DataType.FLOAT16) ? input[0]! : output[0]!,
  );
  model.graph!.output.push(...[...new Set(names)].map((name) => create(ValueInfoProtoSchema, { name })));
  const path = join(folder, 'with-casts.onnx');
  await writeFile(path, toBinary(ModelProtoSchema, model));
  const session = await InferenceSession.create(path, { intraOpNumThreads: 1 });
  try {
    const { logits, ...outputs } = await session.run(promptFeeds(manifest, prompt), ['logits', ...names]);
    const largest = Object.entries(outputs).flatMap(([name, { data }]): [string, number][] =>
      data instanceof Float32Array
        ? [[name, data.reduce((most, value) => Math.max(most, Math.abs(value)), 0)]]
        : [],
    );
    return { logits: logits!.data as Float32Array, casts: new Map(largest) };
  } finally {
    await session.release();
  }
}

it.each(['austen-gemma3', 'austen-gemma3n'])(
  '%s in fp16 stays in the range of float16 where gated products exceed it',
  async (model) => {
    const checkpoint = await withLargeProducts(model);
    const expected = await promptLogits(checkpoint, prompt);
    const { logits, casts } = await runFp16(checkpoint);
    expect(casts.size).toBeGreaterThan(50);
    const gated = [...casts].filter(([name]) => name.endsWith('/gated/scaled')).map(([, largest]) => largest);
    expect(64 * Math.max(...gated)).toBeGreaterThan(2 * largestFloat16);
    expect([...casts].filter(([, largest]) => largest > largestFloat16)).toEqual([]);
    expect(worstDifference(logits, expected)).toBeLessThan(0.01);
  },
);
