import { embeddingTable } from '../../layers/embedding.ts';
import { gelu, rmsNorm, scaleBy, streamLinear } from '../gemma/graph-parts.ts';
import type { Gemma3nGraph } from './graph.ts';

/**
 * The per-layer inputs: token information for each layer, [batch, sequence, layers · P]. They combine a separate table
 * with a projection of the embedding: (norm(W e / √d) + √P · E_pl[ids]) / √2.
 */
export function perLayerInputs(gemma: Gemma3nGraph, ids: string, embedded: string): string {
  const { graph, config } = gemma;
  const { hiddenSize: d, layers, epsilon } = config;
  const { size } = config.perLayerInput;
  const width = layers.length * size;
  const path = '/per_layer_inputs';
  const projected = streamLinear(gemma, `${path}/project`, embedded, 'per_layer_model_projection.weight', [
    width,
    d,
  ]);
  const split = graph.add('Reshape', `${path}/by_layer`, [
    projected,
    graph.integers(0, 0, layers.length, size),
  ]);
  // Dividing by √d before a norm is equivalent to an ε that is d times as large.
  const normed = rmsNorm(gemma, `${path}/norm`, split, 'per_layer_projection_norm.weight', size, epsilon * d);
  const joined = graph.add('Reshape', `${path}/joined`, [normed, graph.integers(0, 0, width)]);
  const own = scaleBy(graph, `${path}/own`, lookUp(gemma, ids, width), Math.sqrt(size));
  const sum = graph.add('Add', `${path}/sum`, [joined, own]);
  return scaleBy(graph, path, sum, Math.SQRT1_2);
}

/**
 * A layer's part of the per-layer inputs, [..., P]. Not Split: its WebGPU shader would write one buffer per layer, more
 * than most GPUs allow.
 */
export function inputOfLayer({ graph, config }: Gemma3nGraph, all: string, layer: number): string {
  const at = (index: number) => graph.integers(index * config.perLayerInput.size);
  return graph.add('Slice', `/per_layer_inputs/${layer}`, [all, at(layer), at(layer + 1), graph.integers(2)]);
}

/** Looks up rows of the per-layer table. Tokens without a row (images and sound) use row 0. */
function lookUp(gemma: Gemma3nGraph, ids: string, width: number): string {
  const { graph, config, prefix } = gemma;
  const path = '/embed_tokens_per_layer';
  const { vocabSize } = config.perLayerInput;
  const table = embeddingTable(gemma, `${prefix}embed_tokens_per_layer.weight`, [vocabSize, width]);
  if (vocabSize >= config.vocabSize) return table.lookUp(path, ids);
  const has = graph.add('Less', `${path}/has_row`, [ids, graph.integer(vocabSize)]);
  const row = graph.add('Where', `${path}/row`, [has, ids, graph.integer(0)]);
  return table.lookUp(path, row);
}

/** q = norm(W_projection(gelu(W_gate x) ⊙ input)), which a layer adds to the blocks; x [..., d], input [..., P]. */
export function gatedInput(gemma: Gemma3nGraph, index: number, x: string, input: string): string {
  const { graph, config } = gemma;
  const { hiddenSize: d, perLayerInput } = config;
  const [path, layer] = [`/layers.${index}/per_layer_input`, `layers.${index}`];
  const into = [perLayerInput.size, d] as const;
  const gate = gelu(
    graph,
    `${path}/gelu`,
    streamLinear(gemma, `${path}/gate`, x, `${layer}.per_layer_input_gate.weight`, into),
  );
  const gated = graph.add('Mul', `${path}/gated`, [gate, input]);
  const out = [d, perLayerInput.size] as const;
  const projected = streamLinear(
    gemma,
    `${path}/project`,
    gated,
    `${layer}.per_layer_projection.weight`,
    out,
  );
  return rmsNorm(gemma, `${path}/norm`, projected, `${layer}.post_per_layer_input_norm.weight`, d);
}
