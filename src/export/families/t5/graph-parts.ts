import type { WeightSource } from '../../checkpoint/weight-source.ts';
import { type EmbeddingTable, embeddingTable } from '../../layers/embedding.ts';
import { linear } from '../../layers/linear.ts';
import { type ModelGraph, toCompute, toStream } from '../../layers/model-graph.ts';
import { float, int, text } from '../../onnx/attributes.ts';
import { microsoftDomain } from '../../onnx/opset.ts';
import type { T5Config } from './config.ts';

/** What every part of a T5 graph is built with. */
export interface T5Graph extends ModelGraph {
  config: T5Config;
  /** The head is a matrix of its own, not the table. */
  hasOwnHead: boolean;
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

/**
 * The feed-forward layer with its residual: x + W_o a, where a = f(W_i n) (T5 1.0), or f(W_0 n) ⊙ W_1 n where it is
 * gated (v1.1), and n = norm(x). With sparse experts what they make of n is added.
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
  // What wo gives leaves float16's range in large checkpoints; Hugging Face's code keeps it in float32 too.
  const wide = t5.precision === 'fp16' ? { ...t5, precision: 'fp32' as const } : t5;
  const down = linear(wide, `${path}/wo`, toStream(t5, inner), `${dense}.wo.weight`, [dModel, dFf]);
  const computed = moe
    ? graph.add('Add', `${path}/sum`, [down, experts(t5, `${path}/experts`, exact, `${layer}.experts`)])
    : down;
  return graph.add('Add', `${path}/residual`, [x, computed]);
}

/** GELU is the approximation by tanh; SiLU is x · sigmoid(x). */
function activate({ graph, config }: T5Graph, path: string, x: string): string {
  if (config.activation === 'relu') return graph.add('Relu', `${path}/relu`, [x]);
  if (config.activation === 'silu') {
    return graph.add('Mul', `${path}/silu`, [x, graph.add('Sigmoid', `${path}/sigmoid`, [x])]);
  }
  return graph.add('Gelu', `${path}/gelu`, [x], { attributes: { approximate: text('tanh') } });
}

/** What the graph calls the axis of the encoder's positions: averaged tokens are fewer than those of `input_ids`. */
export function encoderAxis({ sequence }: T5Config): string {
  return sequence?.method === 'average' ? 'positions' : 'sequence';
}

/** The table that both stacks look tokens up in. */
export function tokenTable(t5: T5Graph): EmbeddingTable {
  const { weights, config } = t5;
  return embeddingTable(t5, tableName(weights), [config.vocabSize, tableWidth(config)]);
}

export const tableNames = ['shared.weight', 'encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'];

/** Some checkpoints hold the table only under one of its users' names. */
export function tableName(weights: WeightSource): string {
  return tableNames.find((name) => weights.has(name)) ?? 'shared.weight';
}

/** Width of the embedding table, of the decoder's last norm and of the head: K·d for plain AltUp, d otherwise. */
export function tableWidth({ dModel, altup }: T5Config): number {
  return altup && !altup.recycled ? altup.numBlocks * dModel : dModel;
}

/**
 * Sparse experts: Σ p_e·W_o^e gelu(W_i^e n) over the `top_k` largest of p = softmax(W_r n), gelu by tanh. ONNX Runtime's
 * own operator does softmax, choice and sum. Router and experts are float32 in every precision: a rounded router
 * chooses other experts, and the operator has no form for blocks of codes.
 * @param normed float32 [..., d], of at most three axes
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
