import { readFileSync } from 'node:fs';
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { readGraphFile } from '../../src/export/inspect/graph-summary.ts';

/** Bytes of weights that a decode step reads: all of a decoder-only graph's but tables of which it reads a few rows. */
export async function weightsPerToken(file: string): Promise<number> {
  const { bytes } = (await readGraphFile(file)).graph;
  const nodes = fromBinary(ModelProtoSchema, readFileSync(file)).graph!.node;
  const read = nodes.filter(({ opType }) => !opType.startsWith('Gather')).flatMap(({ input }) => input);
  return [...new Set(read)].reduce((sum, name) => sum + (bytes.get(name) ?? 0), 0);
}
