import { readFile } from 'node:fs/promises';
import { fromBinary } from '@bufbuild/protobuf';
import { type FunctionProto, ModelProtoSchema, type NodeProto } from 'onnx-buf';
import type { GraphBuilder } from '../onnx/graph-builder.ts';
import { elementTypes } from '../onnx/values.ts';

/** What can be said of a graph without running it. */
export interface GraphSummary {
  name: string;
  /** Nodes by operator, as `MatMul` or `ai.altup.Correct`, most frequent first. */
  operators: Record<string, number>;
  /** How many numbers each float32 initializer holds. */
  weights: ReadonlyMap<string, number>;
}

export interface FunctionSummary {
  /** Domain and name. */
  name: string;
  nodes: number;
}

export async function readGraphFile(
  path: string,
): Promise<{ graph: GraphSummary; functions: FunctionSummary[] }> {
  const model = fromBinary(ModelProtoSchema, await readFile(path));
  const weights = (model.graph?.initializer ?? [])
    .filter(({ dataType }) => dataType === elementTypes.float32)
    .map(({ name, dims }) => [name, dims.map(Number).reduce((a, b) => a * b, 1)] as const);
  const graph = {
    name: model.graph?.name ?? '',
    operators: countOperators(model.graph?.node ?? []),
    weights: new Map(weights),
  };
  return { graph, functions: model.functions.map(summarizeFunction) };
}

export function summarizeGraph(graph: GraphBuilder): GraphSummary {
  const weights = [...graph.weights.values()].map(
    ({ name, dims }) => [name, dims.reduce((a, b) => a * b, 1)] as const,
  );
  return { name: graph.name, operators: countOperators(graph.nodes), weights: new Map(weights) };
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
