import type { Precision } from '../../catalog/manifest.ts';
import type { FloatType, WeightSource } from '../checkpoint/weight-source.ts';
import { int } from '../onnx/attributes.ts';
import type { GraphBuilder } from '../onnx/graph-builder.ts';
import { elementTypes } from '../onnx/values.ts';

/** Context that every part of a graph is built with. */
export interface ModelGraph {
  graph: GraphBuilder;
  weights: WeightSource;
  precision: Precision;
  /** Whether int4 stores the linear layer with this weight in 8 bits. Default: never. */
  keeps8Bits?: (weight: string) => boolean;
}

/**
 * Type of matrix products and attention: float16 in fp16, bfloat16 in bf16, float32 otherwise. The residual stream, norms
 * and AltUp are float32 in every precision, because the stream of large models exceeds float16's range.
 */
export function computeType(precision: Precision): FloatType {
  if (precision === 'bf16') return 'bfloat16';
  return precision === 'fp16' ? 'float16' : 'float32';
}

/** Type of a decoder-only model's cache, which quantised models keep in half of float32's memory. */
export function cacheType(precision: Precision): FloatType {
  const type = computeType(precision);
  return precision === 'fp32' || type !== 'float32' ? type : 'float16';
}

/** Casts a value of the residual stream for linear layers and attention; several calls share one cast. */
export function toCompute({ graph, precision }: ModelGraph, x: string): string {
  const type = computeType(precision);
  if (type === 'float32') return x;
  const name = `${x}/${type}`;
  return graph.computes(name) ? name : castTo(graph, type, x, name);
}

/** Casts a result of linear layers or attention for the residual stream. */
export function toStream({ graph, precision }: ModelGraph, x: string): string {
  return computeType(precision) === 'float32' ? x : castTo(graph, 'float32', x, `${x}/float32`);
}

/** Lets `make` compute a value in the compute type, then casts it to float32 as `output`. @returns `output` */
export function inFloat32(
  { graph, precision }: ModelGraph,
  output: string,
  make: (name: string) => string,
): string {
  const type = computeType(precision);
  if (type === 'float32') return make(output);
  return castTo(graph, 'float32', make(`${output}/${type}`), output);
}

/** Lets `make` compute a float32 value, then casts it to the compute type as `output`. @returns `output` */
export function inCompute(
  { graph, precision }: ModelGraph,
  output: string,
  make: (name: string) => string,
): string {
  const type = computeType(precision);
  if (type === 'float32') return make(output);
  return castTo(graph, type, make(`${output}/float32`), output);
}

/** Lets `make` compute a value in the compute type, then casts it to the cache's as `output`. @returns `output` */
export function inCache(
  { graph, precision }: ModelGraph,
  output: string,
  make: (name: string) => string,
): string {
  const type = cacheType(precision);
  if (computeType(precision) === type) return make(output);
  return castTo(graph, type, make(`${output}/computed`), output);
}

function castTo(graph: GraphBuilder, type: FloatType, x: string, output: string): string {
  return graph.add('Cast', output, [x], { attributes: { to: int(elementTypes[type]) } });
}
