import { altupDomain } from '../../altup/domain.ts';
import { int } from '../../onnx/attributes.ts';
import type { T5Graph } from './graph-parts.ts';

/** x [batch, tokens, d] and the bias of its attention scores → the result of the layer. */
type EncoderLayer = (x: string, bias: string) => string;

/**
 * Encoder layer `index`, plain or within Sequence-AltUp or stride-and-skip. With these, the layer computes only every
 * k-th token of x [batch, sequence, d]; Sequence-AltUp predicts the others, stride-and-skip leaves them unchanged.
 * @param bias [batch, heads, sequence, sequence]
 */
export function stridedLayer(
  t5: T5Graph,
  index: number,
  x: string,
  bias: string,
  layer: EncoderLayer,
): string {
  const { graph, weights, config } = t5;
  const { sequence } = config;
  const isStrided =
    sequence && sequence.method !== 'average' && sequence.firstLayer <= index && index <= sequence.lastLayer;
  if (!isStrided) return layer(x, bias);
  const { stride } = sequence;
  const block = `/encoder/block.${index}`;
  const kept = everyNth(t5, `${block}/kept`, x, [1], stride);
  const computed = layer(kept, keptBias(t5, bias, stride));
  if (sequence.method === 'skip') return putBack(t5, `${block}/skip`, x, computed, stride);
  const coefs = graph.weight(weights.asStored(`encoder.block.${index}.sequence.coefs`, [3]));
  const name = `${block}/sequence_predict_correct`;
  graph.annotate(name, ['batch', 'sequence', config.dModel]);
  return graph.add('SequencePredictCorrect', name, [x, computed, coefs], {
    domain: altupDomain,
    attributes: { stride: int(stride) },
  });
}

/** Elements 0, k, 2k, … of the given axes, where k is `stride`. */
function everyNth({ graph }: T5Graph, name: string, x: string, axes: number[], stride: number): string {
  const each = (value: number) => graph.integers(...axes.map(() => value));
  const from = [x, each(0), each(Number.MAX_SAFE_INTEGER), graph.integers(...axes), each(stride)];
  return graph.add('Slice', name, from);
}

/** Kept tokens keep their positions, so their bias is part of the full bias. Layers with the same bias share it. */
function keptBias(t5: T5Graph, bias: string, stride: number): string {
  const name = `${bias}/kept`;
  return t5.graph.computes(name) ? name : everyNth(t5, name, bias, [2, 3], stride);
}

/** Replaces the kept tokens of x with the computed ones [batch, kept, d]. */
function putBack(t5: T5Graph, name: string, x: string, computed: string, stride: number): string {
  const { graph, config } = t5;
  const flat = graph.add('Reshape', `${name}/flat`, [x, graph.integers(-1, config.dModel)]);
  const put = graph.add('ScatterND', `${name}/put`, [flat, keptRows(t5, x, stride), computed]);
  return graph.add('Reshape', name, [put, '/encoder/kept_rows/shape']);
}

/** Kept rows of the flattened batch × sequence: int64 [batch, kept, 1]. All layers share them. */
function keptRows({ graph }: T5Graph, x: string, stride: number): string {
  const name = '/encoder/kept_rows';
  if (graph.computes(name)) return name;
  const shape = graph.add('Shape', `${name}/shape`, [x]);
  const size = (axis: number, of: string) =>
    graph.add('Gather', `${name}/${of}`, [shape, graph.integer(axis)], { attributes: { axis: int(0) } });
  const [batch, sequence] = [size(0, 'batch'), size(1, 'sequence')];
  const places = graph.add('Range', `${name}/places`, [graph.integer(0), sequence, graph.integer(stride)]);
  const row = graph.add('Range', `${name}/row`, [graph.integer(0), batch, graph.integer(1)]);
  const first = graph.add('Mul', `${name}/first`, [row, sequence]);
  const column = graph.add('Unsqueeze', `${name}/column`, [first, graph.integers(1)]);
  const rows = graph.add('Add', `${name}/by_row`, [column, places]);
  return graph.add('Unsqueeze', name, [rows, graph.integers(2)]);
}
