import { altupDomain } from '../../altup/domain.ts';
import { linear } from '../../layers/linear.ts';
import { computeType, toCompute, toStream } from '../../layers/model-graph.ts';
import { float, int } from '../../onnx/attributes.ts';
import { rmsNorm, type T5Graph } from './graph-parts.ts';

/** Names of values shared by all decoder layers. */
export interface DecoderInputs {
  /** int32 [batch]: total length of each row − 1. */
  seqlens: string;
  /** int32 [1]: maximum total length. */
  total: string;
  /** [batch, heads, sequence, total], compute type */
  bias: string;
  /** int32 [batch]: number of encoder positions of each row. */
  encoded: string;
  /** [batch, 1, sequence, encoder capacity], compute type: hides the positions after those. */
  padding: string;
}

/**
 * x + W_o·attention(norm(x)) over the row's cache and the chunk itself. `present` may share the memory of
 * `past_key_values`. `new` holds only the chunk's rows, for callers that manage the cache themselves.
 */
export function selfAttention(t5: T5Graph, index: number, x: string, inputs: DecoderInputs): string {
  const { graph } = t5;
  const { dModel, numHeads, dKv } = t5.config;
  const type = computeType(t5.precision);
  const inner = numHeads * dKv;
  const path = `/decoder/block.${index}/self_attention`;
  const layer = `decoder.block.${index}.layer.0`;
  const attention = `${layer}.SelfAttention`;
  const cache = ['batch', numHeads, 'capacity', dKv];
  const pastKey = graph.input(`past_key_values.${index}.key`, type, cache);
  const pastValue = graph.input(`past_key_values.${index}.value`, type, cache);
  const present = [`present.${index}.key`, `present.${index}.value`];
  for (const name of present) graph.output(name, type, cache);

  const normed = toCompute(t5, rmsNorm(t5, `${path}/norm`, x, `${layer}.layer_norm.weight`, dModel));
  const q = linear(t5, `${path}/q`, normed, `${attention}.q.weight`, [inner, dModel]);
  const key = linear(t5, `${path}/k`, normed, `${attention}.k.weight`, [inner, dModel], `new.${index}.key`);
  const value = linear(
    t5,
    `${path}/v`,
    normed,
    `${attention}.v.weight`,
    [inner, dModel],
    `new.${index}.value`,
  );
  for (const name of [key, value]) graph.output(name, type, ['batch', 'sequence', inner]);

  const mixed = `${path}/attention`;
  const from = [q, key, value, pastKey, pastValue, inputs.seqlens, inputs.total, inputs.bias];
  graph.add('SelfAttention', mixed, from, {
    domain: altupDomain,
    // T5 does not divide scores by √d.
    attributes: { num_heads: int(numHeads), scale: float(1) },
    outputs: [mixed, ...present],
  });
  const out = linear(t5, `${path}/o`, mixed, `${attention}.o.weight`, [dModel, inner]);
  return graph.add('Add', `${path}/residual`, [x, toStream(t5, out)]);
}

/** x + W_o·attention(norm(x)) over the encoder's keys and values. */
export function crossAttention(t5: T5Graph, index: number, x: string, inputs: DecoderInputs): string {
  const { graph } = t5;
  const { dModel, numHeads, dKv } = t5.config;
  const type = computeType(t5.precision);
  const inner = numHeads * dKv;
  const path = `/decoder/block.${index}/cross_attention`;
  const layer = `decoder.block.${index}.layer.1`;
  const attention = `${layer}.EncDecAttention`;
  const [key, value] = [`cross.${index}.key`, `cross.${index}.value`];
  for (const name of [key, value]) graph.input(name, type, ['batch', numHeads, 'encoder_capacity', dKv]);

  const normed = toCompute(t5, rmsNorm(t5, `${path}/norm`, x, `${layer}.layer_norm.weight`, dModel));
  const q = linear(t5, `${path}/q`, normed, `${attention}.q.weight`, [inner, dModel]);
  const from = [q, key, value, inputs.encoded, inputs.padding];
  const mixed = graph.add('CrossAttention', `${path}/attention`, from, {
    domain: altupDomain,
    attributes: { num_heads: int(numHeads), scale: float(1) },
  });
  const out = linear(t5, `${path}/o`, mixed, `${attention}.o.weight`, [dModel, inner]);
  return graph.add('Add', `${path}/residual`, [x, toStream(t5, out)]);
}
