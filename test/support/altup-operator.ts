import { Tensor } from 'onnxruntime-node';
import { expect } from 'vitest';
import { altupDomain, type FunctionSet } from '../../src/export/altup/domain.ts';
import type { Attributes } from '../../src/export/onnx/attributes.ts';
import { GraphBuilder } from '../../src/export/onnx/graph-builder.ts';
import { weightOf } from '../../src/export/onnx/weight.ts';
import { runGraph } from './run-graph.ts';
import { worstDifference } from './worst-difference.ts';

const anyShape = (name: string, rank: number) => Array.from({ length: rank }, (_, axis) => `${name}${axis}`);

export const floatTensor = (dims: number[], values: number[]) =>
  new Tensor('float32', Float32Array.from(values), dims);

interface AltUpOperator {
  op: string;
  /** Graph inputs, then initializers, in the order of the operator's inputs. */
  feeds: Record<string, Tensor>;
  weights?: Record<string, number[][] | number[]>;
  attributes?: Attributes;
  /** Name and rank of each output. */
  outputs: Record<string, number>;
  set?: FunctionSet;
}

/** Runs one operator through its function body. */
export async function runAltUpOperator(operator: AltUpOperator): Promise<Record<string, Tensor>> {
  const { op, feeds, weights = {}, attributes = {}, outputs, set = 'paper' } = operator;
  const graph = new GraphBuilder('graph');
  for (const [name, fed] of Object.entries(feeds))
    graph.input(name, 'float32', anyShape(name, fed.dims.length));
  for (const [name, values] of Object.entries(weights)) {
    const dims = Array.isArray(values[0]) ? [values.length, values[0].length] : [values.length];
    graph.weight(weightOf(name, dims, Float32Array.from(values.flat())));
  }
  const inputs = [...Object.keys(feeds), ...Object.keys(weights)];
  graph.add(op, 'node', inputs, { domain: altupDomain, attributes, outputs: Object.keys(outputs) });
  for (const [name, rank] of Object.entries(outputs)) graph.output(name, 'float32', anyShape(name, rank));
  return await runGraph(graph, feeds, set);
}

export function expectClose(actual: Tensor | undefined, dims: number[], expected: number[], most = 2e-6) {
  expect(actual?.dims).toEqual(dims);
  expect(worstDifference(actual!.data as Float32Array, expected)).toBeLessThan(most);
}
