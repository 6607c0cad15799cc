import type { BaseVariant, Layers } from '../base-model.ts';

/** T5 v1.1's shapes from the paper's measurements (arXiv 2301.13310 §5; sizes: T5 v1.1's own configs). */
export const shapes = {
  Small: { width: 512, heads: 6, feedForward: 1024, layers: 8 },
  Base: { width: 768, heads: 12, feedForward: 2048, layers: 12 },
  Large: { width: 1024, heads: 16, feedForward: 2816, layers: 24 },
} as const;

export type ShapeName = keyof typeof shapes;

type Kind = Omit<BaseVariant, 'width' | 'heads' | 'feedForward'> & { times?: number };

const altup = (num_blocks: number, more: { selection?: 'same'; recycled?: true } = {}) => ({
  num_blocks,
  selection: 'alternating' as const,
  recycled: false,
  ...more,
});
/** Experts as small as the paper's: 128 of hidden width 16, one for each token. */
const moe = { num_experts: 128, expert_d_ff: 16, top_k: 1 };

export const dense: Kind = { name: 'dense', altup: null };

/** Variants measured against the dense model. Their names are those of the shipped models without `austen-t5-`. */
export const kinds: readonly Kind[] = [
  { name: 'altup-k2', altup: altup(2) },
  { name: 'altup-k4', altup: altup(4) },
  { name: 'sameup-k2', altup: altup(2, { selection: 'same' }) },
  { name: 'recycled-k2', altup: altup(2, { recycled: true }) },
  { name: 'sequence-altup', altup: null, sequence: { stride: 4, method: 'altup' } },
  { name: 'stride-skip', altup: null, sequence: { stride: 4, method: 'skip' } },
  { name: 'average-pool', altup: null, sequence: { stride: 4, method: 'average' } },
  { name: 'moe', altup: null, moe },
  { name: 'altup-moe', altup: altup(2), moe },
  { name: 'dense2x', altup: null, times: 2 },
  { name: 'dense4x', altup: null, times: 4 },
];

/** A kind at a shape. Wider dense models are wider only in d_model, like the shipped one. */
export function variantOf({ times = 1, ...kind }: Kind, shape: ShapeName): BaseVariant {
  const { width, heads, feedForward } = shapes[shape];
  return { ...kind, width: times * width, heads, feedForward };
}

export function layersOf(shape: ShapeName): Layers {
  return { encoder: shapes[shape].layers, decoder: shapes[shape].layers };
}
