import { linear } from '../../layers/linear.ts';
import { computeType, toCompute, toStream } from '../../layers/model-graph.ts';
import { float, int, ints } from '../../onnx/attributes.ts';
import { GraphBuilder } from '../../onnx/graph-builder.ts';
import { microsoftDomain } from '../../onnx/opset.ts';
import { weightOf } from '../../onnx/weight.ts';
import { averagePool, encoderPositions } from './average-pool.ts';
import { encoderAxis, feedForward, rmsNorm, type T5Graph, tableWidth, tokenTable } from './graph-parts.ts';
import { paddingBias } from './padding-bias.ts';
import { bidirectionalBiasTable } from './relative-bias.ts';
import { residualStream } from './streams.ts';
import { stridedLayer } from './strided-layer.ts';

/**
 * encoder.onnx: tokens → encoder_output float32 [batch, positions, d] and the cross-attention keys and values [batch,
 * heads, positions, head size] of every decoder layer. There is one position per token, unless tokens are averaged.
 * Rows may be padded on the right: padded positions give finite values and do not influence other positions.
 */
export async function buildEncoder(context: Omit<T5Graph, 'graph'>): Promise<GraphBuilder> {
  const graph = new GraphBuilder('encoder');
  const t5 = { ...context, graph };
  const { config } = t5;
  const ids = graph.input('input_ids', 'int64', ['batch', 'sequence']);
  const lengths = graph.input('encoder_lengths', 'int32', ['batch']);

  const stream = residualStream(t5, 'encoder');
  const embedded = tokenTable(t5).lookUp('/encoder/embed_tokens', ids);
  const pooled = averagePool(t5, embedded, lengths, tableWidth(config));
  const keys = { value: pooled, axis: 1 };
  const positions = encoderPositions(t5, '/encoder', lengths);
  const padding = paddingBias(t5, '/encoder/padding_bias', positions, keys);
  const row = biasRow(t5, pooled);
  let x = stream.begin(pooled);
  let bias = '';
  for (let index = 0; index < config.encoderLayers; index += 1) {
    if (index === 0 || config.hasBiasByLayer) {
      const name = config.hasBiasByLayer ? `/encoder/block.${index}/bias` : '/encoder/bias';
      bias = graph.add('Add', name, [await positionBias(t5, index, row), padding]);
    }
    const path = `/encoder/block.${index}`;
    const block = `encoder.block.${index}`;
    x = stridedLayer(t5, index, x, bias, (tokens, scores) => {
      const attended = selfAttention(t5, `${path}/self_attention`, tokens, `${block}.layer.0`, scores);
      return feedForward(t5, `${path}/feed_forward`, attended, `${block}.layer.1`);
    });
    x = index + 1 < config.encoderLayers ? stream.advance(index, x) : stream.end(x);
  }
  const norm = 'encoder.final_layer_norm.weight';
  const output = rmsNorm(t5, '/encoder/final_norm', x, norm, config.dModel, 'encoder_output');
  graph.output(output, 'float32', ['batch', encoderAxis(config), config.dModel]);

  for (let index = 0; index < config.decoderLayers; index += 1)
    crossKeysAndValues(t5, index, toCompute(t5, output));
  return graph;
}

/** Row numbers in a bias table, by key position − query position: int64 [positions, positions]. */
function biasRow({ graph, config }: T5Graph, x: string): string {
  const { maxDistance } = config;
  const path = '/encoder/position_bias';
  const shape = graph.add('Shape', `${path}/shape`, [x]);
  const count = graph.add('Gather', `${path}/sequence`, [shape, graph.integer(1)], {
    attributes: { axis: int(0) },
  });
  const position = graph.add('Range', `${path}/position`, [graph.integer(0), count, graph.integer(1)]);
  const query = graph.add('Unsqueeze', `${path}/query`, [position, graph.integers(1)]);
  const after = graph.add('Sub', `${path}/after`, [position, query]);
  const clipped = graph.add('Clip', `${path}/clipped`, [
    after,
    graph.integer(-maxDistance),
    graph.integer(maxDistance),
  ]);
  return graph.add('Add', `${path}/row`, [clipped, graph.integer(maxDistance)]);
}

/** Bias of a layer: [1, heads, positions, positions]. All layers use that of the first, except in UMT5. */
async function positionBias(t5: T5Graph, index: number, row: string): Promise<string> {
  const { graph, weights, config } = t5;
  const embedding = `encoder.block.${index}.layer.0.SelfAttention.relative_attention_bias.weight`;
  const made = bidirectionalBiasTable(
    await weights.values(embedding, [config.numBuckets, config.numHeads]),
    config,
  );
  const path = config.hasBiasByLayer ? `/encoder/block.${index}/position_bias` : '/encoder/position_bias';
  const table = graph.weight(weightOf(`${path}/table`, made.dims, made.values));
  const byPair = graph.add('Gather', `${path}/by_pair`, [table, row], { attributes: { axis: int(0) } });
  const byHead = graph.add('Transpose', `${path}/by_head`, [byPair], {
    attributes: { perm: ints([2, 0, 1]) },
  });
  return toCompute(t5, graph.add('Unsqueeze', path, [byHead, graph.integers(0)]));
}

/** x + W_o·attention(norm(x)); each token attends to all tokens of its row. T5 does not divide scores by √d. */
function selfAttention(t5: T5Graph, path: string, x: string, layer: string, bias: string): string {
  const { graph } = t5;
  const { dModel, numHeads, dKv } = t5.config;
  const inner = numHeads * dKv;
  const attention = `${layer}.SelfAttention`;
  const normed = toCompute(t5, rmsNorm(t5, `${path}/norm`, x, `${layer}.layer_norm.weight`, dModel));
  const [q, k, v] = (['q', 'k', 'v'] as const).map((part) =>
    linear(t5, `${path}/${part}`, normed, `${attention}.${part}.weight`, [inner, dModel]),
  ) as [string, string, string];
  const mixed = graph.add('MultiHeadAttention', `${path}/attention`, [q, k, v, '', '', bias], {
    domain: microsoftDomain,
    attributes: { num_heads: int(numHeads), scale: float(1) },
  });
  const out = linear(t5, `${path}/o`, mixed, `${attention}.o.weight`, [dModel, inner]);
  return graph.add('Add', `${path}/residual`, [x, toStream(t5, out)]);
}

/** Cross-attention keys and values of decoder layer `index`, computed once per prompt. */
function crossKeysAndValues(t5: T5Graph, index: number, encoded: string): void {
  const { graph } = t5;
  const { dModel, numHeads, dKv } = t5.config;
  for (const [part, output] of [
    ['k', 'key'],
    ['v', 'value'],
  ] as const) {
    const path = `/decoder/block.${index}/cross_attention/${part}`;
    const weight = `decoder.block.${index}.layer.1.EncDecAttention.${part}.weight`;
    const flat = linear(t5, path, encoded, weight, [numHeads * dKv, dModel]);
    const heads = graph.add('Reshape', `${path}/heads`, [flat, graph.integers(0, 0, numHeads, dKv)]);
    const name = `cross.${index}.${output}`;
    graph.add('Transpose', `${path}/by_head`, [heads], {
      attributes: { perm: ints([0, 2, 1, 3]) },
      outputs: [name],
    });
    graph.output(name, computeType(t5.precision), ['batch', numHeads, encoderAxis(t5.config), dKv]);
  }
}
