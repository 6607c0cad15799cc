import { linear } from '../../layers/linear.ts';
import { computeType, type ModelGraph, toCompute, toStream } from '../../layers/model-graph.ts';
import { float, int, text } from '../../onnx/attributes.ts';
import type { GraphBuilder } from '../../onnx/graph-builder.ts';
import { weightOf } from '../../onnx/weight.ts';
import type { GemmaConfig } from './config.ts';

/** Context that every part of a Gemma graph is built with. */
export interface GemmaGraph<Config extends GemmaConfig = GemmaConfig> extends ModelGraph {
  config: Config;
  /** Name prefix of the text model's weights in the checkpoint. */
  prefix: string;
  /** Norm weights are stored as their difference from 1, as in Gemma 3. */
  hasCentredNorms: boolean;
}

/** x / √(mean(x²) + ε) · w over the last axis of `width`. @param weight name in the checkpoint, without the prefix */
export function rmsNorm(
  gemma: GemmaGraph,
  name: string,
  x: string,
  weight: string,
  width: number,
  epsilon = gemma.config.epsilon,
): string {
  const { graph, weights, prefix, hasCentredNorms } = gemma;
  const full = `${prefix}${weight}`;
  const stored = hasCentredNorms ? weights.plusOne(full, [width]) : weights.asStored(full, [width]);
  return normalize(graph, name, x, graph.weight(stored), epsilon);
}

export function normalize(
  graph: GraphBuilder,
  name: string,
  x: string,
  scale: string,
  epsilon: number,
): string {
  const attributes = { axis: int(-1), epsilon: float(epsilon) };
  return graph.add('RMSNormalization', name, [x, scale], { attributes });
}

/** x · Wᵀ, where x and the result belong to the residual stream. */
export function streamLinear(
  gemma: GemmaGraph,
  name: string,
  x: string,
  weight: string,
  shape: readonly [number, number],
): string {
  return toStream(gemma, linear(gemma, name, toCompute(gemma, x), `${gemma.prefix}${weight}`, shape));
}

/** x · value, for a number. */
export function scaleBy(graph: GraphBuilder, name: string, x: string, value: number): string {
  return graph.add('Mul', name, [x, number(graph, `${name}/factor`, value)]);
}

/** A float32 scalar. */
export function number(graph: GraphBuilder, name: string, value: number): string {
  return graph.weight(weightOf(name, [], Float32Array.of(value)));
}

/** GELU, with the tanh approximation. */
export function gelu(graph: GraphBuilder, name: string, x: string): string {
  return graph.add('Gelu', name, [x], { attributes: { approximate: text('tanh') } });
}

/** A power of two, so that scaling rounds only what becomes too small for all bits of float16. */
const float16Scale = 1 / 64;

/**
 * The gated feed-forward layer W_down(gelu(gate) ⊙ W_up x), gate = W_gate x.
 *
 * In large checkpoints the product exceeds float16's range, and so may the result. In fp16 both are therefore a 64th of
 * what they are: numbers up to 4 million fit, and those that become too small for all bits of float16 are below 0.004.
 * @param sparsify transforms the gate before the GELU
 */
export function feedForward(
  gemma: GemmaGraph,
  path: string,
  x: string,
  index: number,
  sparsify = (gate: string) => gate,
): string {
  const { graph, config } = gemma;
  const { hiddenSize } = config;
  const { intermediateSize } = config.layers[index]!;
  const mlp = `layers.${index}.mlp`;
  const into = [intermediateSize, hiddenSize] as const;
  const gate = sparsify(streamLinear(gemma, `${path}/gate`, x, `${mlp}.gate_proj.weight`, into));
  const up = streamLinear(gemma, `${path}/up`, x, `${mlp}.up_proj.weight`, into);
  const gated = graph.add('Mul', `${path}/gated`, [gelu(graph, `${path}/gelu`, gate), up]);
  const isHalf = computeType(gemma.precision) === 'float16';
  const input = isHalf ? scaleBy(graph, `${path}/gated/scaled`, gated, float16Scale) : gated;
  const down = streamLinear(gemma, `${path}/down`, input, `${mlp}.down_proj.weight`, [
    hiddenSize,
    intermediateSize,
  ]);
  return isHalf ? scaleBy(graph, `${path}/down/scaled`, down, 1 / float16Scale) : down;
}

/** Picks the requested `rows` of x [batch, sequence, d]: [rows, d]. */
export function pickRows(graph: GraphBuilder, name: string, x: string, d: number, rows: string): string {
  const flat = graph.add('Reshape', `${name}/flat`, [x, graph.integers(-1, d)]);
  return graph.add('Gather', name, [flat, rows], { attributes: { axis: int(0) } });
}
