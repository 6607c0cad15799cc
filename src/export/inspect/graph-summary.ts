import { readFile } from 'node:fs/promises';
import { fromBinary } from '@bufbuild/protobuf';
import { type FunctionProto, ModelProtoSchema, type NodeProto } from 'onnx-buf';
import type { GraphBuilder } from '../onnx/graph-builder.ts';
import { bytesPerElement, type ElementType, elementTypes } from '../onnx/values.ts';
import { elementCountOf } from '../onnx/weight.ts';
import { scalesSuffix } from '../quantize/quantized-matrix.ts';

/** Facts about a graph that need no run. */
export interface GraphSummary {
  name: string;
  /** Node count by operator, such as `MatMul` or `ai.altup.Correct`, most frequent first. */
  operators: Record<string, number>;
  /** Count of trained numbers by initializer. Scales and zero points do not count. */
  weights: ReadonlyMap<string, number>;
  /** Bytes by initializer. */
  bytes: ReadonlyMap<string, number>;
}

export interface FunctionSummary {
  /** Domain and name, such as `ai.altup.Correct`. */
  name: string;
  nodes: number;
}

export async function readGraphFile(
  path: string,
): Promise<{ graph: GraphSummary; functions: FunctionSummary[] }> {
  const model = fromBinary(ModelProtoSchema, await readFile(path));
  const graph = summarize(
    model.graph?.name ?? '',
    model.graph?.node ?? [],
    (model.graph?.initializer ?? []).map(({ name, dataType, dims }) => ({
      name,
      dataType,
      dims: dims.map(Number),
    })),
  );
  return { graph, functions: model.functions.map(summarizeFunction) };
}

export function summarizeGraph({ name, nodes, weights }: GraphBuilder): GraphSummary {
  const tensors = weights.flatMap((weight) => weight.tensors);
  return summarize(
    name,
    nodes,
    tensors.map((tensor) => ({ ...tensor, dataType: elementTypes[tensor.type] })),
  );
}

interface Initializer {
  name: string;
  dataType: number;
  dims: readonly number[];
}

function summarize(
  name: string,
  nodes: readonly NodeProto[],
  initializers: readonly Initializer[],
): GraphSummary {
  const bits = bitsPerCode(nodes);
  const weights = new Map<string, number>();
  for (const { name, dataType, dims } of initializers) {
    const count = elementCountOf({ dims });
    if (bits.has(name)) weights.set(name, (8 * count) / bits.get(name)!);
    else if (dataType === elementTypes.float16) weights.set(name, count);
    else if (dataType === elementTypes.float32 && !name.endsWith(scalesSuffix)) weights.set(name, count);
  }
  const bytes = new Map(initializers.map(({ name, dataType, dims }) => [name, bytesOf(dataType, dims)]));
  return { name, operators: countOperators(nodes), weights, bytes };
}

function bytesOf(dataType: number, dims: readonly number[]): number {
  const type = (Object.keys(elementTypes) as ElementType[]).find((each) => elementTypes[each] === dataType);
  return type === undefined ? 0 : bytesPerElement[type] * elementCountOf({ dims });
}

/** Bits per number, by name of the tensors that hold codes. */
function bitsPerCode(nodes: readonly NodeProto[]): Map<string, number> {
  const codesInput: Record<string, number> = { QuantizedGather: 0, QuantizedMatMul: 1 };
  return new Map(
    nodes.flatMap(({ opType, input, attribute }) => {
      const codes = input[codesInput[opType] ?? -1];
      const bits = attribute.find(({ name }) => name === 'bits')?.i;
      return codes === undefined || bits === undefined ? [] : [[codes, Number(bits)] as const];
    }),
  );
}

export function summarizeFunction({ domain, name, node }: FunctionProto): FunctionSummary {
  return { name: `${domain}.${name}`, nodes: node.length };
}

function countOperators(nodes: readonly NodeProto[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { domain, opType } of nodes) {
    const name = domain === '' ? opType : `${domain}.${opType}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].sort(([a, m], [b, n]) => n - m || a.localeCompare(b)));
}
