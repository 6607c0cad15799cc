import { int } from '../../onnx/attributes.ts';
import { elementTypes } from '../../onnx/values.ts';
import { weightOf } from '../../onnx/weight.ts';
import type { T5Graph } from './graph-parts.ts';

/** k if the encoder reads means of k tokens, else null. */
function poolingStride({ config }: Pick<T5Graph, 'config'>): number | null {
  return config.sequence?.method === 'average' ? config.sequence.stride : null;
}

/**
 * Number of encoder positions for rows of `lengths` tokens: the length, or ⌈length/k⌉ with average pooling.
 * @param lengths int32 [batch]
 * @returns int32 [batch]
 */
export function encoderPositions(t5: T5Graph, path: string, lengths: string): string {
  const stride = poolingStride(t5);
  if (stride === null) return lengths;
  const { graph } = t5;
  const wide = graph.add('Cast', `${path}/lengths_int64`, [lengths], {
    attributes: { to: int(elementTypes.int64) },
  });
  const raised = graph.add('Add', `${path}/lengths_raised`, [wide, graph.integer(stride - 1)]);
  const positions = graph.add('Div', `${path}/positions_int64`, [raised, graph.integer(stride)]);
  return graph.add('Cast', `${path}/positions`, [positions], { attributes: { to: int(elementTypes.int32) } });
}

/**
 * Average pooling: embedded [batch, sequence, width] → [batch, ⌈sequence/k⌉, width], the means of k tokens of a row.
 * Padding does not count; a group of padding only gives zeros. Without pooling, returns `embedded`.
 * @param lengths int32 [batch]
 */
export function averagePool(t5: T5Graph, embedded: string, lengths: string, width: number): string {
  const stride = poolingStride(t5);
  if (stride === null) return embedded;
  const { graph } = t5;
  const path = '/encoder/average_pool';
  const shape = graph.add('Shape', `${path}/shape`, [embedded]);
  const count = graph.add('Gather', `${path}/sequence`, [shape, graph.integer(1)], {
    attributes: { axis: int(0) },
  });
  const position = graph.add('Range', `${path}/place`, [graph.integer(0), count, graph.integer(1)]);
  const wide = graph.add('Cast', `${path}/lengths_int64`, [lengths], {
    attributes: { to: int(elementTypes.int64) },
  });
  const length = graph.add('Unsqueeze', `${path}/length`, [wide, graph.integers(1)]);
  const isToken = graph.add('Less', `${path}/is_token`, [position, length]);
  const flag = graph.add('Cast', `${path}/flag`, [isToken], {
    attributes: { to: int(elementTypes.float32) },
  });
  const weight = graph.add('Unsqueeze', `${path}/weight`, [flag, graph.integers(2)]);

  // Number of tokens missing from the last group, −count mod k: ONNX's Mod has the sign of the divisor.
  const behind = graph.add('Neg', `${path}/behind`, [count]);
  const lacking = graph.add('Mod', `${path}/lacking`, [behind, graph.integer(stride)]);
  const last = graph.add('Unsqueeze', `${path}/last`, [lacking, graph.integers(0)]);
  const pads = graph.add('Concat', `${path}/pads`, [graph.integers(0), last], {
    attributes: { axis: int(0) },
  });
  const groupSums = (name: string, x: string, columns: number) => {
    const whole = graph.add('Pad', `${name}/padded`, [x, pads, '', graph.integers(1)]);
    const groups = graph.add('Reshape', `${name}/groups`, [whole, graph.integers(0, -1, stride, columns)]);
    return graph.add('ReduceSum', name, [groups, graph.integers(2)], { attributes: { keepdims: int(0) } });
  };
  const sums = groupSums(`${path}/sums`, graph.add('Mul', `${path}/tokens`, [embedded, weight]), width);
  const one = graph.weight(weightOf(`${path}/one`, [], Float32Array.of(1)));
  const counts = graph.add('Max', `${path}/counts`, [groupSums(`${path}/weights`, weight, 1), one]);
  return graph.add('Div', path, [sums, counts]);
}
