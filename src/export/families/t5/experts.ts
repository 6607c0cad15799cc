import { linear } from '../../layers/linear.ts';
import { int, text } from '../../onnx/attributes.ts';
import { microsoftDomain } from '../../onnx/opset.ts';
import type { T5Graph } from './graph-parts.ts';

/**
 * Sparse experts: Σ p_e·W_o^e gelu(W_i^e n) over the `top_k` largest of p = softmax(W_r n), gelu by tanh. ONNX Runtime's
 * own operator does softmax, choice and sum. Router and experts are float32 in every precision: a rounded router
 * chooses other experts, and the operator has no form for blocks of codes.
 * @param normed float32 [..., d], of at most three axes
 */
export function experts(t5: T5Graph, path: string, normed: string, layer: string): string {
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
