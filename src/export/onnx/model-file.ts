import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type FunctionProto,
  ModelProtoSchema,
  type OperatorSetIdProto,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
} from 'onnx-buf';
import { type DataRange, ExternalData } from './external-data.ts';
import { functionsUsed } from './functions-used.ts';
import type { GraphBuilder, IntegerConstant } from './graph-builder.ts';
import { irVersion, microsoftOpset, standardOpset } from './opset.ts';
import { elementTypes } from './values.ts';
import { byteLengthOf, type Weight } from './weight.ts';

/** Weights up to this size live in the model file, larger ones beside it. */
const inlineLimitBytes = 4095;

export interface ModelOptions {
  producerVersion: string;
  /** Bodies of our operators; those that the graph uses are stored. */
  functions: readonly FunctionProto[];
  opsets: readonly OperatorSetIdProto[];
  /** Called with the number of weight bytes just written. */
  onBytes?: (count: number) => void;
}

/**
 * Writes `<graph name>.onnx` and, where it has large weights, `<graph name>.onnx.data` into `folder`.
 * @returns the file names
 */
export async function writeModel(
  folder: string,
  graph: GraphBuilder,
  options: ModelOptions,
): Promise<string[]> {
  const file = `${graph.name}.onnx`;
  const dataFile = `${file}.data`;
  const { initializer, hasData } = await writeWeights(folder, dataFile, graph, options.onBytes ?? (() => {}));
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
      initializer: [...initializer, ...[...graph.constants.values()].map(integerTensor)],
    },
  });
  await writeDurably(join(folder, file), toBinary(ModelProtoSchema, model));
  return hasData ? [file, dataFile] : [file];
}

async function writeWeights(
  folder: string,
  dataFile: string,
  graph: GraphBuilder,
  onBytes: (count: number) => void,
): Promise<{ initializer: TensorProto[]; hasData: boolean }> {
  const initializer: TensorProto[] = [];
  let data: ExternalData | null = null;
  try {
    for (const weight of graph.weights.values()) {
      const expected = byteLengthOf(weight);
      if (expected <= inlineLimitBytes) {
        initializer.push(inlineTensor(weight, await collect(weight)));
        onBytes(expected);
        continue;
      }
      data ??= await ExternalData.create(join(folder, dataFile));
      const range = await data.append(weight.chunks(), onBytes);
      if (range.length !== expected)
        throw new Error(`${weight.name} gave ${range.length} bytes, not ${expected}`);
      initializer.push(externalTensor(weight, dataFile, range));
    }
  } finally {
    await data?.close();
  }
  return { initializer, hasData: data !== null };
}

async function collect(weight: Weight): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  for await (const piece of weight.chunks()) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}

const bigDims = (dims: readonly number[]) => dims.map(BigInt);

function inlineTensor(weight: Weight, rawData: Uint8Array<ArrayBuffer>): TensorProto {
  return create(TensorProtoSchema, {
    name: weight.name,
    dims: bigDims(weight.dims),
    dataType: elementTypes.float32,
    rawData,
  });
}

function externalTensor(weight: Weight, location: string, range: DataRange): TensorProto {
  return create(TensorProtoSchema, {
    name: weight.name,
    dims: bigDims(weight.dims),
    dataType: elementTypes.float32,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [
      { key: 'location', value: location },
      { key: 'offset', value: String(range.offset) },
      { key: 'length', value: String(range.length) },
    ],
  });
}

function integerTensor(constant: IntegerConstant): TensorProto {
  return create(TensorProtoSchema, {
    name: constant.name,
    dims: bigDims(constant.dims),
    dataType: elementTypes.int64,
    int64Data: bigDims(constant.values),
  });
}

/** Writes a new file and waits until it is on the disk. */
async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}
