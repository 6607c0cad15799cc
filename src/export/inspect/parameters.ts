import type { GraphSummary } from './graph-summary.ts';

/** Trained numbers by what they belong to. */
export interface Parameters {
  total: number;
  embedding: number;
  encoder: number;
  decoder: number;
  /** 0 where the head is the embedding table. */
  head: number;
  /** Relative position biases. */
  positionBias: number;
  /** AltUp's scalars: K² + K for each layer. */
  altup: number;
}

type Part = Exclude<keyof Parameters, 'total' | 'positionBias'>;

/** @param total trained numbers in the checkpoint */
export function countParameters(graphs: readonly GraphSummary[], total: number): Parameters {
  const parameters: Parameters = {
    total,
    embedding: 0,
    encoder: 0,
    decoder: 0,
    head: 0,
    positionBias: 0,
    altup: 0,
  };
  // A weight that both graphs use is one weight.
  const weights = new Map(graphs.flatMap((graph) => [...graph.weights]));
  let counted = 0;
  for (const [name, count] of weights) {
    const part = partOf(name);
    if (!part) continue;
    parameters[part] += count;
    counted += count;
  }
  // The graphs hold the biases as tables by distance, of another size than what was trained.
  parameters.positionBias = total - counted;
  return parameters;
}

/** null: computed by the exporter, not a weight of the checkpoint. */
function partOf(name: string): Part | null {
  if (name.startsWith('/')) return null;
  if (name.includes('.altup.')) return 'altup';
  if (name === 'shared.weight' || name.endsWith('embed_tokens.weight')) return 'embedding';
  if (name === 'lm_head.weight') return 'head';
  return name.startsWith('encoder.') ? 'encoder' : 'decoder';
}
