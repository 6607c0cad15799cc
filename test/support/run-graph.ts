import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, type Tensor } from 'onnxruntime-node';
import { altupOpset, type FunctionSet } from '../../src/export/altup/domain.ts';
import { altupFunctions } from '../../src/export/altup/functions.ts';
import type { GraphBuilder } from '../../src/export/onnx/graph-builder.ts';
import { writeModel } from '../../src/export/onnx/model-file.ts';

/** Writes the graph with a set of `ai.altup` function bodies, loads it in ONNX Runtime and runs it once. */
export async function runGraph(
  graph: GraphBuilder,
  feeds: Record<string, Tensor>,
  set: FunctionSet = 'paper',
): Promise<Record<string, Tensor>> {
  const folder = await mkdtemp(join(tmpdir(), 'altup-graph-'));
  try {
    await writeModel(folder, graph, {
      producerVersion: 'test',
      functions: altupFunctions(set),
      opsets: [altupOpset],
    });
    const session = await InferenceSession.create(join(folder, `${graph.name}.onnx`), {
      intraOpNumThreads: 1,
    });
    try {
      return await session.run(feeds);
    } finally {
      await session.release();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}
