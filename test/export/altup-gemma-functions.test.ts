import { describe, expect, it } from 'vitest';
import { float, int, text } from '../../src/export/onnx/attributes.ts';
import { expectClose, floatTensor, runAltUpOperator } from '../support/altup-operator.ts';
import { noise } from '../support/noise.ts';

// X[t][i] is block i of token t: the reference computes token by token.
type Tokens = number[][][];

const lead = [2, 3];
const tokens = 6;
const d = 7;
const each = Array.from({ length: tokens }, (_, t) => t);

function random(next: () => number, count: number, width: number): number[][] {
  return Array.from({ length: count }, () => Array.from({ length: width }, next));
}

const blocksFirst = (X: Tokens) => X[0]!.flatMap((_, i) => X.flatMap((token) => token[i]!));
const predict = (X: number[][], P: number[][]) =>
  P.map((row) => X[0]!.map((_, n) => row.reduce((sum, p, j) => sum + p * X[j]![n]!, 0)));
const correct = (X: number[][], y: number[], g: number[], active: number) =>
  X.map((block, i) => block.map((value, n) => value + g[i]! * (y[n]! - X[active]![n]!)));
const meanSquare = (row: number[]) => row.reduce((sum, value) => sum + value * value, 0) / row.length;
/** As in Gemma3nTextModel: scales each block after the first to the first one's magnitude. */
const match = (X: number[][]) =>
  X.map((block, i) => {
    const scale = Math.sqrt(meanSquare(X[0]!)) / Math.sqrt(Math.max(meanSquare(block), 1e-5));
    return i === 0 ? block : block.map((value) => value * scale);
  });

describe.each([1, 2, 4])('ai.altup bodies of the gemma3n set with K = %i', (K) => {
  const next = noise(K);
  const X: Tokens = each.map(() => random(next, K, d));
  const y = random(next, tokens, d);
  const P = each.map(() => random(next, K, K));
  const G = random(next, tokens, K);
  const wide = floatTensor([K, ...lead, d], blocksFirst(X));
  const narrow = floatTensor([...lead, d], y.flat());
  const perTokenP = floatTensor([...lead, K, K], P.flat(2));
  const perTokenG = floatTensor([...lead, K], G.flat());
  const last = K - 1;
  const set = 'gemma';

  it('Predict with coefficients per token', async () => {
    const { out } = await runAltUpOperator({
      op: 'Predict',
      feeds: { X: wide, P: perTokenP },
      outputs: { out: 4 },
      set,
    });
    expectClose(out, [K, ...lead, d], blocksFirst(each.map((t) => predict(X[t]!, P[t]!))));
  });

  it('Predict with the same coefficients for all tokens', async () => {
    const outputs = { out: 4 };
    const { out } = await runAltUpOperator({
      op: 'Predict',
      feeds: { X: wide },
      weights: { P: P[0]! },
      outputs,
      set,
    });
    expectClose(out, [K, ...lead, d], blocksFirst(each.map((t) => predict(X[t]!, P[0]!))));
  });

  it('Correct with coefficients per token', async () => {
    const { out } = await runAltUpOperator({
      op: 'Correct',
      feeds: { X: wide, y: narrow, G: perTokenG },
      attributes: { active: int(last) },
      outputs: { out: 4 },
      set,
    });
    expectClose(out, [K, ...lead, d], blocksFirst(each.map((t) => correct(X[t]!, y[t]!, G[t]!, last))));
  });

  it.each(['corrected', 'predicted'])('CorrectPredict per token, next reads as %s', async (reads) => {
    const { predicted, read } = await runAltUpOperator({
      op: 'CorrectPredict',
      feeds: { X: wide, y: narrow, G: perTokenG, P: perTokenP },
      attributes: { active: int(0), next: int(last), reads: text(reads) },
      outputs: { predicted: 4, read: 3 },
      set,
    });
    const corrected = each.map((t) => correct(X[t]!, y[t]!, G[t]!, 0));
    const predictedNext = each.map((t) => predict(corrected[t]!, P[t]!));
    expectClose(predicted, [K, ...lead, d], blocksFirst(predictedNext));
    const source = reads === 'corrected' ? corrected : predictedNext;
    expectClose(
      read,
      [...lead, d],
      source.flatMap((token) => token[last]!),
    );
  });

  it('Expand gives the projections the magnitude of the embedding, and a zero one stays zero', async () => {
    const x = X.map((token, t) => token.map((block, i) => (t === 1 && i > 0 ? block.map(() => 0) : block)));
    const { out } = await runAltUpOperator({
      op: 'Expand',
      feeds: { x: floatTensor([...lead, K * d], x.flat(2)) },
      attributes: { mode: text('match'), num_blocks: int(K) },
      outputs: { out: 4 },
      set,
    });
    expectClose(out, [K, ...lead, d], blocksFirst(x.map(match)));
  });

  it('Collapse gives the mean of blocks of one magnitude', async () => {
    const { out } = await runAltUpOperator({
      op: 'Collapse',
      feeds: { X: wide },
      attributes: { mode: text('match') },
      outputs: { out: 3 },
      set,
    });
    const mean = X.map(match).flatMap((token) =>
      token[0]!.map((_, n) => token.reduce((sum, block) => sum + block[n]! / K, 0)),
    );
    expectClose(out, [...lead, d], mean);
  });

  it('takes one token without leading axes, and none at all', async () => {
    const one = await runAltUpOperator({
      op: 'Predict',
      feeds: { X: floatTensor([K, d], X[0]!.flat()), P: floatTensor([K, K], P[0]!.flat()) },
      outputs: { out: 2 },
      set,
    });
    expectClose(one.out, [K, d], predict(X[0]!, P[0]!).flat());
    const none = await runAltUpOperator({
      op: 'Correct',
      feeds: { X: floatTensor([K, 0, d], []), y: floatTensor([0, d], []), G: floatTensor([0, K], []) },
      attributes: { active: int(0) },
      outputs: { out: 3 },
      set,
    });
    expectClose(none.out, [K, 0, d], []);
  });
});

describe('GaussianTopK', () => {
  it('keeps what is above mean + multiplier · population std, as its excess', async () => {
    const next = noise(1);
    const rows = Array.from({ length: 6 }, (_, row) => Array.from({ length: 50 }, () => 10 * row + next()));
    const multiplier = 0.8;
    const expected = rows.map((row) => {
      const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
      const cutoff = mean + multiplier * Math.sqrt(variance);
      return row.map((value) => Math.max(0, value - cutoff));
    });
    const { out } = await runAltUpOperator({
      op: 'GaussianTopK',
      feeds: { gate: floatTensor([2, 3, 50], rows.flat()) },
      attributes: { std_multiplier: float(multiplier) },
      outputs: { out: 3 },
    });
    const kept = [...(out!.data as Float32Array)].filter((value) => value > 0).length;
    expect(kept / 300).toBeGreaterThan(0.1);
    expect(kept / 300).toBeLessThan(0.4);
    expectClose(out, [2, 3, 50], expected.flat(), 2e-5);
  });
});
