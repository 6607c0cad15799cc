import { type ConfigReader, unsaid } from '../../../catalog/config-reader.ts';

export const attentionKinds = ['sliding_attention', 'full_attention'] as const;
export type AttentionKind = (typeof attentionKinds)[number];

/** Rotary position embedding. Pair n of a head's numbers has angle position / factor · theta^(−2n / head size). */
export interface Rope {
  theta: number;
  /** Divisor of positions; 1 unless the context was extended. */
  factor: number;
}

const thetas = [1e-3, 1e15] as const;
const defaultTheta = { full_attention: 1e6, sliding_attention: 1e4 } as const;

/**
 * Reads both bases. transformers 5 writes `rope_parameters`. Published checkpoints have `rope_theta`,
 * `rope_local_base_freq` and `rope_scaling`, which applies only to full attention.
 */
export function readRope(text: ConfigReader): Record<AttentionKind, Rope> {
  refusePartial(text);
  const parameters = text.object('rope_parameters');
  parameters?.allowOnly(attentionKinds);
  const scaling = text.object('rope_scaling');
  const theta = {
    full_attention: text.number('rope_theta', thetas, { missing: defaultTheta.full_attention }),
    sliding_attention: text.number('rope_local_base_freq', thetas, {
      missing: defaultTheta.sliding_attention,
    }),
  };
  const of = (kind: AttentionKind): Rope => {
    const own = parameters?.object(kind) ?? null;
    const scaled = own ?? (kind === 'full_attention' ? scaling : null);
    return {
      theta: own?.number('rope_theta', thetas, { missing: theta[kind] }) ?? theta[kind],
      factor: scaled ? readFactor(scaled) : 1,
    };
  };
  return { full_attention: of('full_attention'), sliding_attention: of('sliding_attention') };
}

/** Reads the single base of a model without windows, with the same old and new names. */
export function readOneRope(text: ConfigReader): Record<AttentionKind, Rope> {
  refusePartial(text);
  const own = text.object('rope_parameters') ?? text.object('rope_scaling');
  const theta = text.number('rope_theta', thetas, { missing: defaultTheta.sliding_attention });
  const rope = {
    theta: own?.number('rope_theta', thetas, { missing: theta }) ?? theta,
    factor: own ? readFactor(own) : 1,
  };
  return { full_attention: rope, sliding_attention: rope };
}

function refusePartial(text: ConfigReader): void {
  if (text.has('partial_rotary_factor')) throw text.refuse('partial_rotary_factor', 'none');
}

function readFactor(scaling: ConfigReader): number {
  scaling.allowOnly(['rope_type', 'type', 'rope_theta', 'factor']);
  const field = scaling.has('rope_type') ? 'rope_type' : 'type';
  return scaling.oneOf(field, ['default', 'linear'], unsaid('default')) === 'linear'
    ? scaling.number('factor', [1e-3, 1e6])
    : 1;
}
