import { describe, expect, it } from 'vitest';
import { int, text } from '../../src/export/onnx/attributes.ts';
import { expectClose, floatTensor, runAltUpOperator } from '../support/altup-operator.ts';
import { noise } from '../support/noise.ts';

/** One list of numbers per block. */
type Blocks = number[][];

const lead = [2, 3];
const d = 5;
const tokens = 6;

function random(count: number, width: number, seed: number): Blocks {
  const next = noise(seed);
  return Array.from({ length: count }, () => Array.from({ length: width }, next));
}

// Algorithm 1 of arXiv 2301.13310, implemented literally.
const predict = (X: Blocks, P: Blocks): Blocks =>
  P.map((row) => X[0]!.map((_, n) => row.reduce((sum, p, j) => sum + p * X[j]![n]!, 0)));
const correct = (predicted: Blocks, y: number[], gains: number[], active: number): Blocks =>
  predicted.map((block, i) => block.map((value, n) => value + gains[i]! * (y[n]! - predicted[active]![n]!)));
/** The blocks concatenated for each token: [tokens, K·d]. */
const sideBySide = (X: Blocks): number[] =>
  Array.from({ length: tokens }, (_, t) => X.flatMap((block) => block.slice(t * d, t * d + d))).flat();

describe.each([1, 2, 4])('ai.altup bodies with K = %i', (K) => {
  const X = random(K, tokens * d, 1);
  const y = random(1, tokens * d, 2)[0]!;
  const P = random(K, K, 3);
  const gains = random(1, K, 4)[0]!;
  const wide = floatTensor([K, ...lead, d], X.flat());
  const narrow = floatTensor([...lead, d], y);
  const blocks = Array.from({ length: K }, (_, k) => k);

  it('Expand splits the last axis into blocks', async () => {
    const x = floatTensor([...lead, K * d], sideBySide(X));
    const attributes = { mode: text('split'), num_blocks: int(K) };
    const { out } = await runAltUpOperator({ op: 'Expand', feeds: { x }, attributes, outputs: { out: 4 } });
    expectClose(out, [K, ...lead, d], X.flat());
  });

  it('Expand replicates', async () => {
    const attributes = { mode: text('replicate'), num_blocks: int(K) };
    const { out } = await runAltUpOperator({
      op: 'Expand',
      feeds: { x: narrow },
      attributes,
      outputs: { out: 4 },
    });
    expectClose(
      out,
      [K, ...lead, d],
      blocks.flatMap(() => y),
    );
  });

  it('Collapse concatenates', async () => {
    const attributes = { mode: text('concatenate') };
    const { out } = await runAltUpOperator({
      op: 'Collapse',
      feeds: { X: wide },
      attributes,
      outputs: { out: 3 },
    });
    expectClose(out, [...lead, K * d], sideBySide(X));
  });

  it('Collapse sums', async () => {
    const { out } = await runAltUpOperator({
      op: 'Collapse',
      feeds: { X: wide },
      attributes: { mode: text('sum') },
      outputs: { out: 3 },
    });
    const sums = y.map((_, n) => X.reduce((sum, block) => sum + block[n]!, 0));
    expectClose(out, [...lead, d], sums);
  });

  it.each(blocks)('Select gives block %i', async (active) => {
    const { out } = await runAltUpOperator({
      op: 'Select',
      feeds: { X: wide },
      attributes: { active: int(active) },
      outputs: { out: 3 },
    });
    expectClose(out, [...lead, d], X[active]!);
  });

  it('Predict mixes the blocks', async () => {
    const { out } = await runAltUpOperator({
      op: 'Predict',
      feeds: { X: wide },
      weights: { P },
      outputs: { out: 4 },
    });
    expectClose(out, [K, ...lead, d], predict(X, P).flat());
  });

  it.each(blocks)('Correct with block %i active', async (active) => {
    const attributes = { active: int(active) };
    const feeds = { X: wide, y: narrow };
    const { out } = await runAltUpOperator({
      op: 'Correct',
      feeds,
      weights: { gains },
      attributes,
      outputs: { out: 4 },
    });
    expectClose(out, [K, ...lead, d], correct(X, y, gains, active).flat());
  });

  const steps = blocks.flatMap((active) =>
    blocks.flatMap((next) => (['corrected', 'predicted'] as const).map((reads) => ({ active, next, reads }))),
  );
  it.each(steps)(
    'CorrectPredict, active $active, next reads block $next as $reads',
    async ({ active, next, reads }) => {
      const { predicted, read } = await runAltUpOperator({
        op: 'CorrectPredict',
        feeds: { X: wide, y: narrow },
        weights: { gains, P },
        attributes: { active: int(active), next: int(next), reads: text(reads) },
        outputs: { predicted: 4, read: 3 },
      });
      const corrected = correct(X, y, gains, active);
      const predictedNext = predict(corrected, P);
      expectClose(predicted, [K, ...lead, d], predictedNext.flat());
      expectClose(read, [...lead, d], (reads === 'corrected' ? corrected : predictedNext)[next]!);
    },
  );

  it('takes one-dimensional blocks: X [K, d], Y [d]', async () => {
    const [X1, y1] = [X.map((block) => block.slice(0, d)), y.slice(0, d)];
    const { predicted, read } = await runAltUpOperator({
      op: 'CorrectPredict',
      feeds: { X: floatTensor([K, d], X1.flat()), y: floatTensor([d], y1) },
      weights: { gains, P },
      attributes: { active: int(0), next: int(K - 1), reads: text('corrected') },
      outputs: { predicted: 2, read: 1 },
    });
    const corrected = correct(X1, y1, gains, 0);
    expectClose(predicted, [K, d], predict(corrected, P).flat());
    expectClose(read, [d], corrected[K - 1]!);
  });

  it('takes no tokens at all', async () => {
    const feeds = { X: floatTensor([K, 2, 0, d], []), y: floatTensor([2, 0, d], []) };
    const attributes = { active: int(0), next: int(0), reads: text('corrected') };
    const outputs = { predicted: 4, read: 3 };
    const { predicted, read } = await runAltUpOperator({
      op: 'CorrectPredict',
      feeds,
      weights: { gains, P },
      attributes,
      outputs,
    });
    expect([predicted?.dims, read?.dims]).toEqual([
      [K, 2, 0, d],
      [2, 0, d],
    ]);
    const collapsed = await runAltUpOperator({
      op: 'Collapse',
      feeds: { X: feeds.X },
      attributes: { mode: text('concatenate') },
      outputs: { out: 3 },
    });
    expect(collapsed.out?.dims).toEqual([2, 0, K * d]);
  });
});
