import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type FunctionProto,
  ModelProtoSchema,
  type OperatorSetIdProto,
  type TensorProto,
  TensorProtoSchema,
} from 'onnx-buf';
import { functionsUsed } from './functions-used.ts';
import type { GraphBuilder, IntegerConstant } from './graph-builder.ts';
import { irVersion, microsoftOpset, standardOpset } from './opset.ts';
import { elementTypes } from './values.ts';
import { writeWeights } from './write-weights.ts';

export interface ModelOptions {
  producerVersion: string;
  /** Bodies of our operators. The file stores those that the graph uses. */
  functions: readonly FunctionProto[];
  opsets: readonly OperatorSetIdProto[];
  /** Called with the number of weight bytes just written. */
  onBytes?: (count: number) => void;
}

/**
 * Writes `<graph name>.onnx` and, if there are large weights, `<graph name>.onnx.data` into `folder`.
 * @returns the file names
 */
export async function writeModel(
  folder: string,
  graph: GraphBuilder,
  options: ModelOptions,
): Promise<string[]> {
  const file = `${graph.name}.onnx`;
  const dataFile = `${file}.data`;
  const onBytes = options.onBytes ?? (() => {});
  const { initializers, hasData } = await writeWeights(folder, dataFile, graph, onBytes);
  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: 'altup-serve',
    producerVersion: options.producerVersion,
    opsetImport: [standardOpset, microsoftOpset, ...options.opsets],
    functions: functionsUsed(graph.nodes, options.functions),
    graph: {
      name: graph.name,
      node: graph.nodes,
      input: graph.inputs,
      output: graph.outputs,
      valueInfo: graph.annotations,
      initializer: [...initializers, ...[...graph.constants.values()].map(integerTensor)],
    },
  });
  await writeDurably(join(folder, file), toBinary(ModelProtoSchema, model));
  return hasData ? [file, dataFile] : [file];
}

function integerTensor(constant: IntegerConstant): TensorProto {
  return create(TensorProtoSchema, {
    name: constant.name,
    dims: constant.dims.map(BigInt),
    dataType: elementTypes.int64,
    int64Data: constant.values.map(BigInt),
  });
}

/** Writes a new file and waits until it is on disk. */
async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}
