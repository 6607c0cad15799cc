import type { WeightSource } from '../../checkpoint/weight-source.ts';
import { type EmbeddingTable, embeddingTable } from '../../layers/embedding.ts';
import { linear } from '../../layers/linear.ts';
import { type ModelGraph, toCompute, toStream } from '../../layers/model-graph.ts';
import { float, int, text } from '../../onnx/attributes.ts';
import { microsoftDomain } from '../../onnx/opset.ts';
import type { T5Config } from './config.ts';

/** Context that every part of a T5 graph is built with. */
export interface T5Graph extends ModelGraph {
  config: T5Config;
  /** The head is a separate matrix, not the table. */
  hasOwnHead: boolean;
}

/** x / √(mean(x²) + ε) · w over the last axis of `width`. The value is named `output`, by default like the node. */
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

/**
 * The feed-forward layer with its residual: x + W_o a. With n = norm(x), a = f(W_i n) in T5 1.0, and the gated
 * a = f(W_0 n) ⊙ W_1 n in v1.1. Sparse experts add their result for n.
 */
export function feedForward(t5: T5Graph, path: string, x: string, layer: string): string {
  const { graph } = t5;
  const { dModel, dFf, isGated, moe } = t5.config;
  const dense = `${layer}.DenseReluDense`;
  const exact = rmsNorm(t5, `${path}/norm`, x, `${layer}.layer_norm.weight`, dModel);
  const normed = toCompute(t5, exact);
  const product = (part: string) =>
    linear(t5, `${path}/${part}`, normed, `${dense}.${part}.weight`, [dFf, dModel]);
  const activated = activate(t5, path, product(isGated ? 'wi_0' : 'wi'));
  const inner = isGated ? graph.add('Mul', `${path}/gated`, [activated, product('wi_1')]) : activated;
  // In large checkpoints, the result of wo exceeds float16's range. Hugging Face's code also keeps it in float32.
  const project = (context: ModelGraph, values: string) =>
    linear(context, `${path}/wo`, values, `${dense}.wo.weight`, [dModel, dFf]);
  const down =
    t5.precision === 'fp16'
      ? project({ ...t5, precision: 'fp32' }, toStream(t5, inner))
      : toStream(t5, project(t5, inner));
  const computed = moe
    ? graph.add('Add', `${path}/sum`, [down, experts(t5, `${path}/experts`, exact, `${layer}.experts`)])
    : down;
  return graph.add('Add', `${path}/residual`, [x, computed]);
}

/** GELU uses the tanh approximation; SiLU is x · sigmoid(x). */
function activate({ graph, config }: T5Graph, path: string, x: string): string {
  if (config.activation === 'relu') return graph.add('Relu', `${path}/relu`, [x]);
  if (config.activation === 'silu') {
    return graph.add('Mul', `${path}/silu`, [x, graph.add('Sigmoid', `${path}/sigmoid`, [x])]);
  }
  return graph.add('Gelu', `${path}/gelu`, [x], { attributes: { approximate: text('tanh') } });
}

/** Name of the axis of encoder positions in the graph. Averaging makes it shorter than `sequence`. */
export function encoderAxis({ sequence }: T5Config): string {
  return sequence?.method === 'average' ? 'positions' : 'sequence';
}

/** The embedding table of both stacks. */
export function tokenTable(t5: T5Graph): EmbeddingTable {
  const { weights, config } = t5;
  return embeddingTable(t5, tableName(weights), [config.vocabSize, tableWidth(config)]);
}

export const tableNames = ['shared.weight', 'encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'];

/** Name of the table in the checkpoint. Some checkpoints have it only under the name of one stack. */
export function tableName(weights: WeightSource): string {
  return tableNames.find((name) => weights.has(name)) ?? 'shared.weight';
}

/** Width of the embedding table, the decoder's last norm and the head: K·d for plain AltUp, d otherwise. */
export function tableWidth({ dModel, altup }: T5Config): number {
  return altup && !altup.recycled ? altup.numBlocks * dModel : dModel;
}

/**
 * Sparse experts: Σ p_e·W_o^e gelu(W_i^e n) over the `top_k` largest p = softmax(W_r n), GELU by tanh. ONNX Runtime's
 * MoE operator computes softmax, choice and sum. Router and experts are float32 in every precision: a rounded router
 * would choose other experts, and the operator does not support blocks of codes.
 * @param normed float32 [..., d], at most three axes
 */
function experts(t5: T5Graph, path: string, normed: string, layer: string): string {
  const { graph, weights, config } = t5;
  const { dModel, moe } = config;
  if (!moe) throw new Error(`${layer} has no experts`);
  const { numExperts, expertDFf, topK } = moe;
  const exact = { ...t5, precision: 'fp32' as const };
  const routed = linear(exact, `${path}/router`, normed, `${layer}.router.weight`, [numExperts, dModel]);
  const byToken = graph.add('Reshape', `${path}/by_token`, [routed, graph.integers(-1, numExperts)]);
  const wi = graph.weight(weights.asStored(`${layer}.wi`, [numExperts, expertDFf, dModel]));
  const wo = graph.weight(weights.asStored(`${layer}.wo`, [numExperts, dModel, expertDFf]));
  return graph.add('MoE', path, [normed, byToken, wi, '', wo], {
    domain: microsoftDomain,
    attributes: { k: int(topK), activation_type: text('gelu'), normalize_routing_weights: int(0) },
  });
}
