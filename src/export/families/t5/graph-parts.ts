import type { WeightSource } from '../../checkpoint/weight-source.ts';
import { float, int, text } from '../../onnx/attributes.ts';
import type { GraphBuilder } from '../../onnx/graph-builder.ts';
import type { T5Config } from './config.ts';

/** What every part of a T5 graph is built with. */
export interface T5Graph {
  graph: GraphBuilder;
  weights: WeightSource;
  config: T5Config;
}

/** x / √(mean(x²) + ε) · w over the last axis of `width`; the value is called `output`, or like the node. */
export function rmsNorm(
  t5: T5Graph,
  name: string,
  x: string,
  weight: string,
  width: number,
  output = name,
): string {
  const scale = t5.graph.weight(t5.weights.asStored(weight, [width]));
  return t5.graph.add('RMSNormalization', name, [x, scale], {
    attributes: { axis: int(-1), epsilon: float(t5.config.epsilon) },
    outputs: [output],
  });
}

/** x · Wᵀ for a linear layer's weight [out, in]; the value is called `output`, or like the node. */
export function linear(
  { graph, weights }: T5Graph,
  name: string,
  x: string,
  weight: string,
  shape: readonly [number, number],
  output = name,
): string {
  return graph.add('MatMul', name, [x, graph.weight(weights.transposed(weight, shape))], {
    outputs: [output],
  });
}

/** T5 v1.1's feed-forward layer with its residual: x + W_o(gelu(W_0 n) ⊙ W_1 n), n = norm(x), gelu by tanh. */
export function feedForward(t5: T5Graph, path: string, x: string, layer: string): string {
  const { graph } = t5;
  const { dModel, dFf } = t5.config;
  const dense = `${layer}.DenseReluDense`;
  const normed = rmsNorm(t5, `${path}/norm`, x, `${layer}.layer_norm.weight`, dModel);
  const gate = linear(t5, `${path}/wi_0`, normed, `${dense}.wi_0.weight`, [dFf, dModel]);
  const activated = graph.add('Gelu', `${path}/gelu`, [gate], { attributes: { approximate: text('tanh') } });
  const up = linear(t5, `${path}/wi_1`, normed, `${dense}.wi_1.weight`, [dFf, dModel]);
  const gated = graph.add('Mul', `${path}/gated`, [activated, up]);
  const down = linear(t5, `${path}/wo`, gated, `${dense}.wo.weight`, [dModel, dFf]);
  return graph.add('Add', `${path}/residual`, [x, down]);
}

/** Looks the tokens up: [batch, sequence, width of the table]. */
export function embed({ graph, weights, config }: T5Graph, path: string, ids: string): string {
  const table = graph.weight(
    weights.asStored(embeddingTable(weights), [config.vocabSize, tableWidth(config)]),
  );
  return graph.add('Gather', `${path}/embed_tokens`, [table, ids], { attributes: { axis: int(0) } });
}

/** Some checkpoints hold the table only under one of its users' names. */
export function embeddingTable(weights: WeightSource): string {
  const names = ['shared.weight', 'encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'];
  return names.find((name) => weights.has(name)) ?? 'shared.weight';
}

/** Width of the embedding table, of the decoder's last norm and of the head: K·d for plain AltUp, d otherwise. */
export function tableWidth({ dModel, altup }: T5Config): number {
  return altup && !altup.recycled ? altup.numBlocks * dModel : dModel;
}
