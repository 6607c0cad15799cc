import type { Precision } from '../../catalog/manifest.ts';
import type { FloatType, WeightSource } from '../checkpoint/weight-source.ts';
import { int } from '../onnx/attributes.ts';
import type { GraphBuilder } from '../onnx/graph-builder.ts';
import { elementTypes } from '../onnx/values.ts';

/** What every part of a graph is built with. */
export interface ModelGraph {
  graph: GraphBuilder;
  weights: WeightSource;
  precision: Precision;
}

/**
 * The type of matrix products, attention and cache: float16 in fp16, float32 otherwise. The residual stream, norms
 * and AltUp are float32 in every precision, since the stream of large models leaves float16's range.
 */
export function computeType(precision: Precision): FloatType {
  return precision === 'fp16' ? 'float16' : 'float32';
}

/** A value of the residual stream as linear layers and attention take it; cast once, however many ask for it. */
export function toCompute({ graph, precision }: ModelGraph, x: string): string {
  if (computeType(precision) === 'float32') return x;
  const name = `${x}/float16`;
  return graph.computes(name) ? name : castTo(graph, 'float16', x, name);
}

/** What linear layers or attention gave, as the residual stream takes it. */
export function toStream({ graph, precision }: ModelGraph, x: string): string {
  return computeType(precision) === 'float32' ? x : castTo(graph, 'float32', x, `${x}/float32`);
}

/** Has `make` compute a value in the compute type, which is then `output` in float32. @returns `output` */
export function inFloat32(
  { graph, precision }: ModelGraph,
  output: string,
  make: (name: string) => string,
): string {
  if (computeType(precision) === 'float32') return make(output);
  return castTo(graph, 'float32', make(`${output}/float16`), output);
}

/** Has `make` compute a value of the residual stream, which is then `output` in the compute type. @returns `output` */
export function inCompute(
  { graph, precision }: ModelGraph,
  output: string,
  make: (name: string) => string,
): string {
  if (computeType(precision) === 'float32') return make(output);
  return castTo(graph, 'float16', make(`${output}/float32`), output);
}

function castTo(graph: GraphBuilder, type: FloatType, x: string, output: string): string {
  return graph.add('Cast', output, [x], { attributes: { to: int(elementTypes[type]) } });
}
