import { int } from '../onnx/attributes.ts';
import { type AltUpOperator, inEverySet } from './domain.ts';

/**
 * SequencePredictCorrect: x [..., T, d], ỹ [..., ⌈T/k⌉, d], coefs [3] = (a₁, a₂, b) → y [..., T, d].
 * Sequence-AltUp with stride k (arXiv 2301.13310, Algorithm 2). The layer computes ỹ from every k-th token only. For
 * token i, let i* = ⌊i/k⌋·k be the last such token at or before i. Then ŷᵢ = a₁xᵢ + a₂xᵢ* and yᵢ = ŷᵢ + b(ỹᵢ* − ŷᵢ*).
 * Because ŷᵢ* = (a₁ + a₂)xᵢ*, this equals yᵢ = a₁xᵢ + zᵢ*; z = b·ỹ + (a₂ − b(a₁ + a₂))x* is computed once per k tokens.
 */
export const sequencePredictCorrect: AltUpOperator = {
  name: 'SequencePredictCorrect',
  inputs: ['x', 'computed', 'sequence_coefs'],
  outputs: ['y'],
  attributes: ['stride'],
  doc: 'Sequence-AltUp: y[i] = p[i] + b*(computed[i*] - p[i*]), p[i] = a1*x[i] + a2*x[i*], i* = i - i mod stride, sequence_coefs = (a1, a2, b).',
  bodies: inEverySet((body) => {
    const [a1, a2, b] = ['a1', 'a2', 'b'].map((name, index) =>
      body.add('Gather', name, ['sequence_coefs', body.integers(`${name}_index`, [index])]),
    ) as [string, string, string];
    const both = body.add('Mul', 'corrected_sum', [b, body.add('Add', 'a_sum', [a1, a2])]);
    const anchorCoef = body.add('Sub', 'anchor_coef', [a2, both]);

    const tokenAxis = { attributes: { axis: int(-2) } };
    const zero = body.integer('zero', 0);
    const one = body.integer('one', 1);
    const stride = body.integerAttribute('stride');
    const shape = body.add('Shape', 'token_shape', ['x'], { attributes: { start: int(-2), end: int(-1) } });
    const tokens = body.add('Squeeze', 'tokens', [shape]);
    const kept = body.add('Range', 'kept', [zero, tokens, stride]);
    const all = body.add('Range', 'all', [zero, tokens, one]);

    const anchors = body.add('Gather', 'anchors', ['x', kept], tokenAxis);
    const carried = body.add('Add', 'carried', [
      body.add('Mul', 'from_computed', ['computed', b]),
      body.add('Mul', 'from_anchors', [anchors, anchorCoef]),
    ]);
    const spread = body.add(
      'Gather',
      'spread',
      [carried, body.add('Div', 'anchor_of', [all, stride])],
      tokenAxis,
    );
    body.add('Add', 'y', [body.add('Mul', 'from_self', ['x', a1]), spread]);
  }),
};
