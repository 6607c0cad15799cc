import { int } from '../../onnx/attributes.ts';
import type { GraphBuilder } from '../../onnx/graph-builder.ts';
import { elementTypes } from '../../onnx/values.ts';
import { weightOf } from '../../onnx/weight.ts';
import type { Rope } from './rope-config.ts';

/** Cosines and sines of one base for a run's tokens: float32 [batch, sequence, head size / 2]. */
export interface Angles {
  cos: string;
  sin: string;
}

/**
 * Computes the angles in each run, once for all layers of a base. That is cheaper than tables of
 * context length · head size numbers per base.
 * @param positions int64 [batch, sequence]
 */
export function rotaryAngles(
  graph: GraphBuilder,
  path: string,
  positions: string,
  rope: Rope,
  headSize: number,
): Angles {
  const frequencies = graph.weight(
    weightOf(`${path}/frequencies`, [headSize / 2], inverseFrequencies(rope, headSize)),
  );
  const wide = graph.add('Cast', `${path}/positions`, [positions], {
    attributes: { to: int(elementTypes.float32) },
  });
  const column = graph.add('Unsqueeze', `${path}/column`, [wide, graph.integers(2)]);
  const angle = graph.add('Mul', `${path}/angle`, [column, frequencies]);
  return { cos: graph.add('Cos', `${path}/cos`, [angle]), sin: graph.add('Sin', `${path}/sin`, [angle]) };
}

/** Computes in float32 like Hugging Face, so that distant positions get the same angles. */
function inverseFrequencies({ theta, factor }: Rope, headSize: number): Float32Array<ArrayBuffer> {
  const f = Math.fround;
  return Float32Array.from({ length: headSize / 2 }, (_, pair) =>
    f(f(1 / f(theta ** f((2 * pair) / headSize))) / factor),
  );
}

/** Rotates x [batch, sequence, heads · head size] by its tokens' angles; pairs combine the two halves of a head. */
export function rotate(graph: GraphBuilder, name: string, x: string, angles: Angles, heads: number): string {
  return graph.add('RotaryEmbedding', name, [x, angles.cos, angles.sin], {
    attributes: { num_heads: int(heads), interleaved: int(0) },
  });
}
