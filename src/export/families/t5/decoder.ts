import { toCompute } from '../../layers/model-graph.ts';
import { int, ints } from '../../onnx/attributes.ts';
import { GraphBuilder } from '../../onnx/graph-builder.ts';
import { elementTypes } from '../../onnx/values.ts';
import { weightOf } from '../../onnx/weight.ts';
import { encoderPositions } from './average-pool.ts';
import { crossAttention, type DecoderInputs, selfAttention } from './decoder-attention.ts';
import { feedForward, rmsNorm, type T5Graph, tableWidth, tokenTable } from './graph-parts.ts';
import { outputHead } from './output-head.ts';
import { paddingBias } from './padding-bias.ts';
import { causalBiasTable } from './relative-bias.ts';
import { residualStream } from './streams.ts';

/**
 * decoder.onnx: a chunk of tokens per row that follows the row's cache → logits of the requested tokens, and the
 * extended cache. Input and output names follow the convention of onnxruntime-genai.
 */
export async function buildDecoder(context: Omit<T5Graph, 'graph'>): Promise<GraphBuilder> {
  const graph = new GraphBuilder('decoder');
  const t5 = { ...context, graph };
  const ids = graph.input('input_ids', 'int64', ['batch', 'sequence']);
  const positions = graph.input('position_ids', 'int64', ['batch', 'sequence']);
  const seqlens = graph.input('seqlens_k', 'int32', ['batch']);
  const total = graph.input('total_sequence_length', 'int32', [1]);
  const logitPositions = graph.input('logit_positions', 'int64', ['rows']);
  const encoderLengths = graph.input('encoder_lengths', 'int32', ['batch']);
  graph.output('logits', 'float32', ['rows', t5.config.vocabSize]);

  const stream = residualStream(t5, 'decoder');
  const row = biasRow(t5, positions, total);
  const keys = { value: 'cross.0.key', axis: 2 };
  const encoded = encoderPositions(t5, '/decoder/encoder', encoderLengths);
  const padding = paddingBias(t5, '/decoder/padding_bias', encoded, keys, positions);
  const last = t5.config.decoderLayers - 1;
  const table = tokenTable(t5);
  let x = stream.begin(table.lookUp('/decoder/embed_tokens', ids));
  let bias = '';
  for (let index = 0; index <= last; index += 1) {
    const path = `/decoder/block.${index}`;
    if (index === 0 || t5.config.hasBiasByLayer) bias = await positionBias(t5, index, row);
    const inputs: DecoderInputs = { seqlens, total, bias, encoded, padding };
    x = selfAttention(t5, index, x, inputs);
    x = crossAttention(t5, index, x, inputs);
    // Only logits need the last feed-forward layer, so it runs only for tokens with requested logits.
    if (index === last) x = pickTokens(t5, `${path}/tokens`, x, logitPositions);
    x = feedForward(t5, `${path}/feed_forward`, x, `decoder.block.${index}.layer.2`);
    x = index < last ? stream.advance(index, x) : stream.end(x, logitPositions);
  }
  const final = rmsNorm(
    t5,
    '/decoder/final_norm',
    x,
    'decoder.final_layer_norm.weight',
    tableWidth(t5.config),
  );
  outputHead(t5, table, final, 'logits');
  return graph;
}

/**
 * Row numbers in a bias table, by query position − key position: int64 [batch, sequence, total]. Keys after the query
 * get the row of distance 0; attention hides them.
 */
function biasRow({ graph, config }: T5Graph, positions: string, total: string): string {
  const path = '/decoder/position_bias';
  const cast = (x: string, type: 'int32' | 'int64', output: string) =>
    graph.add('Cast', output, [x], { attributes: { to: int(elementTypes[type]) } });
  // A total is never below the number of new tokens, so this maximum changes nothing. But what follows a Shape stays on
  // the CPU with ONNX Runtime's CUDA provider, where Range needs its limit: otherwise each step would wait for the GPU.
  const shape = graph.add('Shape', `${path}/new`, [positions], { attributes: { start: int(1) } });
  const known = graph.add('Max', `${path}/known`, [total, cast(shape, 'int32', `${path}/new_int32`)]);
  const wideTotal = cast(known, 'int64', `${path}/total_int64`);
  const count = graph.add('Squeeze', `${path}/total`, [wideTotal, graph.integers(0)]);
  const key = graph.add('Range', `${path}/key`, [graph.integer(0), count, graph.integer(1)]);
  const query = graph.add('Unsqueeze', `${path}/query`, [positions, graph.integers(2)]);
  const before = graph.add('Sub', `${path}/before`, [query, key]);
  return graph.add('Clip', `${path}/row`, [before, graph.integer(0), graph.integer(config.maxDistance)]);
}

/** Bias of a layer: [batch, heads, sequence, total]. All layers use that of the first, except in UMT5. */
async function positionBias(t5: T5Graph, index: number, row: string): Promise<string> {
  const { graph, weights, config } = t5;
  const embedding = `decoder.block.${index}.layer.0.SelfAttention.relative_attention_bias.weight`;
  const made = causalBiasTable(await weights.values(embedding, [config.numBuckets, config.numHeads]), config);
  const path = config.hasBiasByLayer ? `/decoder/block.${index}/position_bias` : '/decoder/position_bias';
  const table = graph.weight(weightOf(`${path}/table`, made.dims, made.values));
  const byPair = graph.add('Gather', `${path}/by_pair`, [table, row], { attributes: { axis: int(0) } });
  const byHead = graph.add('Transpose', path, [byPair], { attributes: { perm: ints([0, 3, 1, 2]) } });
  return toCompute(t5, byHead);
}

/** x [batch, sequence, d] → [rows, d]. */
function pickTokens({ graph, config }: T5Graph, name: string, x: string, rows: string): string {
  const flat = graph.add('Reshape', `${name}/flat`, [x, graph.integers(-1, config.dModel)]);
  return graph.add('Gather', name, [flat, rows], { attributes: { axis: int(0) } });
}
