import { describe, it } from 'vitest';
import { int } from '../../src/export/onnx/attributes.ts';
import { expectClose, floatTensor, runAltUpOperator } from '../support/altup-operator.ts';
import { noise } from '../support/noise.ts';

describe('SequencePredictCorrect', () => {
  const d = 3;
  const [a1, a2, b] = [0.9, 0.3, 1.2] as const;

  it.each([
    [1, 1],
    [1, 4],
    [7, 2],
    [8, 4],
    [9, 4],
    [5, 1],
    [3, 8],
  ])('%i tokens, stride %i: Algorithm 2, word for word', async (T, stride) => {
    const next = noise(T);
    const computedTokens = Math.ceil(T / stride);
    const rows = (count: number) =>
      Array.from({ length: 2 }, () => Array.from({ length: count }, () => Array.from({ length: d }, next)));
    const [x, computed] = [rows(T), rows(computedTokens)];
    const anchor = (i: number) => Math.floor(i / stride) * stride;
    const expected = x.map((row, r) => {
      const predicted = row.map((token, i) => token.map((value, n) => a1 * value + a2 * row[anchor(i)]![n]!));
      return predicted.map((token, i) =>
        token.map(
          (value, n) => value + b * (computed[r]![anchor(i) / stride]![n]! - predicted[anchor(i)]![n]!),
        ),
      );
    });
    const { y } = await runAltUpOperator({
      op: 'SequencePredictCorrect',
      feeds: {
        x: floatTensor([2, T, d], x.flat(2)),
        computed: floatTensor([2, computedTokens, d], computed.flat(2)),
      },
      weights: { coefs: [a1, a2, b] },
      attributes: { stride: int(stride) },
      outputs: { y: 3 },
    });
    expectClose(y, [2, T, d], expected.flat(2));
  });
});
