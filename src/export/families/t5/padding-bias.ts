import { computeType, toCompute } from '../../layers/model-graph.ts';
import { int } from '../../onnx/attributes.ts';
import { elementTypes } from '../../onnx/values.ts';
import { weightOf } from '../../onnx/weight.ts';
import type { T5Graph } from './graph-parts.ts';

/**
 * A bias on attention scores: padding after a row's encoder length gets no weight, because e to this power is 0. It
 * replaces the operator's own mask input, which WebGPU does not have.
 * @param lengths int32 [batch]
 * @param keys a value with one entry per encoder position on axis `axis`
 * @param queries int64 [batch, sequence]: gives one mask per query, which the operator needs if there is no other bias
 * @returns compute type [batch, 1, sequence, positions], or [batch, 1, 1, positions] without `queries`
 */
export function paddingBias(
  t5: T5Graph,
  path: string,
  lengths: string,
  keys: { value: string; axis: number },
  queries?: string,
): string {
  const { graph } = t5;
  const shape = graph.add('Shape', `${path}/keys_shape`, [keys.value]);
  const count = graph.add('Gather', `${path}/keys`, [shape, graph.integer(keys.axis)], {
    attributes: { axis: int(0) },
  });
  const position = graph.add('Range', `${path}/position`, [graph.integer(0), count, graph.integer(1)]);
  const wide = graph.add('Cast', `${path}/lengths_int64`, [lengths], {
    attributes: { to: int(elementTypes.int64) },
  });
  let length = graph.add('Unsqueeze', `${path}/length`, [wide, graph.integers(1, 2, 3)]);
  if (queries !== undefined) {
    const query = graph.add('Unsqueeze', `${path}/query`, [queries, graph.integers(1, 3)]);
    const queryShape = graph.add('Shape', `${path}/query_shape`, [query]);
    length = graph.add('Expand', `${path}/length_by_query`, [length, queryShape]);
  }
  const isPadding = graph.add('GreaterOrEqual', `${path}/is_padding`, [position, length]);
  const flag = graph.add('Cast', `${path}/flag`, [isPadding], {
    attributes: { to: int(elementTypes.float32) },
  });
  const hidden = Float32Array.of(computeType(t5.precision) === 'float16' ? -65504 : -1e30);
  const scale = graph.weight(weightOf(`${path}/hidden`, [1], hidden));
  return toCompute(t5, graph.add('Mul', path, [flag, scale]));
}
