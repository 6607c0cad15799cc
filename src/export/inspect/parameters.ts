import { scalesSuffix, zerosSuffix } from '../quantize/quantized-matrix.ts';
import type { GraphSummary } from './graph-summary.ts';

export const parts = [
  'embedding',
  'perLayerEmbedding',
  'encoder',
  'decoder',
  'head',
  'positionBias',
  'experts',
  'altup',
] as const;

/**
 * The part of a model that a trained number belongs to. `head` is empty if the embedding table is the head;
 * `perLayerEmbedding` is Gemma 3n's table of token embeddings for each layer; `experts` holds sparse experts and their
 * routers; `altup` holds coefficients, AltUp's routers and the projections into and out of the blocks.
 */
export type Part = (typeof parts)[number];

/** Count of trained numbers, or their bytes. */
export type ByPart = Record<Part | 'total', number>;

/** @param total count of trained numbers in the checkpoint */
export function countParameters(graphs: readonly GraphSummary[], total: number): ByPart {
  const counted = sumByPart(graphs.map(({ weights }) => weights));
  // The graphs hold position biases as tables by distance, which differ in size from the trained tensors.
  return { ...counted, positionBias: total - counted.total + counted.positionBias, total };
}

/** Bytes of the graphs' initializers. */
export function sizesByPart(graphs: readonly GraphSummary[]): ByPart {
  return sumByPart(graphs.map(({ bytes }) => bytes));
}

function sumByPart(graphs: readonly ReadonlyMap<string, number>[]): ByPart {
  const sums = Object.fromEntries([...parts, 'total'].map((part) => [part, 0])) as ByPart;
  // The Map counts a weight once, even if both graphs use it.
  for (const [name, value] of new Map(graphs.flatMap((graph) => [...graph]))) {
    const part = partOf(name);
    if (!part) continue;
    sums[part] += value;
    sums.total += value;
  }
  return sums;
}

/** The part of a tensor; null if the exporter computed it and the checkpoint has no such weight. */
function partOf(tensor: string): Part | null {
  if (tensor.startsWith('/')) return tensor.endsWith('/position_bias/table') ? 'positionBias' : null;
  const name = [scalesSuffix, zerosSuffix].reduce((left, suffix) => left.replace(suffix, ''), tensor);
  if (/(^|\.)altup(_projections|_unembed_projections)?\./.test(name)) return 'altup';
  if (name.endsWith('.sequence.coefs')) return 'altup';
  if (name.includes('.experts.')) return 'experts';
  if (name === 'shared.weight' || name.endsWith('embed_tokens.weight')) return 'embedding';
  if (name.endsWith('embed_tokens_per_layer.weight')) return 'perLayerEmbedding';
  if (name.endsWith('lm_head.weight')) return 'head';
  return name.startsWith('encoder.') ? 'encoder' : 'decoder';
}
