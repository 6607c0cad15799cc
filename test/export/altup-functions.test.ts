import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { altupDomain } from '../../src/export/altup/domain.ts';
import { type Attributes, int, text } from '../../src/export/onnx/attributes.ts';
import { GraphBuilder } from '../../src/export/onnx/graph-builder.ts';
import { weightOf } from '../../src/export/onnx/weight.ts';
import { noise } from '../support/noise.ts';
import { runGraph } from '../support/run-graph.ts';
import { worstDifference } from '../support/worst-difference.ts';

/** One list of numbers per block. */
type Blocks = number[][];

const lead = [2, 3];
const d = 5;
const tokens = 6;

function random(count: number, width: number, seed: number): Blocks {
  const next = noise(seed);
  return Array.from({ length: count }, () => Array.from({ length: width }, next));
}

// Algorithm 1 of arXiv 2301.13310, word for word.
const predict = (X: Blocks, P: Blocks): Blocks =>
  P.map((row) => X[0]!.map((_, n) => row.reduce((sum, p, j) => sum + p * X[j]![n]!, 0)));
const correct = (predicted: Blocks, y: number[], gains: number[], active: number): Blocks =>
  predicted.map((block, i) => block.map((value, n) => value + gains[i]! * (y[n]! - predicted[active]![n]!)));
/** Token by token, the blocks side by side: [tokens, K·d]. */
const sideBySide = (X: Blocks): number[] =>
  Array.from({ length: tokens }, (_, t) => X.flatMap((block) => block.slice(t * d, t * d + d))).flat();

const tensor = (dims: number[], values: number[]) => new Tensor('float32', Float32Array.from(values), dims);
const anyShape = (name: string, rank: number) => Array.from({ length: rank }, (_, axis) => `${name}${axis}`);

interface Operator {
  op: string;
  /** Graph inputs, then initializers, in the order of the operator's inputs. */
  feeds: Record<string, Tensor>;
  weights?: Record<string, Blocks | number[]>;
  attributes?: Attributes;
  /** Name and rank of each output. */
  outputs: Record<string, number>;
}

async function run({ op, feeds, weights = {}, attributes = {}, outputs }: Operator) {
  const graph = new GraphBuilder('graph');
  for (const [name, fed] of Object.entries(feeds))
    graph.input(name, 'float32', anyShape(name, fed.dims.length));
  for (const [name, values] of Object.entries(weights)) {
    const dims = Array.isArray(values[0]) ? [values.length, values[0].length] : [values.length];
    graph.weight(weightOf(name, dims, Float32Array.from(values.flat())));
  }
  const inputs = [...Object.keys(feeds), ...Object.keys(weights)];
  graph.add(op, 'node', inputs, { domain: altupDomain, attributes, outputs: Object.keys(outputs) });
  for (const [name, rank] of Object.entries(outputs)) graph.output(name, 'float32', anyShape(name, rank));
  return await runGraph(graph, feeds);
}

function expectClose(actual: Tensor | undefined, dims: number[], expected: number[]) {
  expect(actual?.dims).toEqual(dims);
  expect(worstDifference(actual!.data as Float32Array, expected)).toBeLessThan(2e-6);
}

describe.each([1, 2, 4])('ai.altup bodies with K = %i', (K) => {
  const X = random(K, tokens * d, 1);
  const y = random(1, tokens * d, 2)[0]!;
  const P = random(K, K, 3);
  const gains = random(1, K, 4)[0]!;
  const wide = tensor([K, ...lead, d], X.flat());
  const narrow = tensor([...lead, d], y);
  const blocks = Array.from({ length: K }, (_, k) => k);

  it('Expand splits the last axis into blocks', async () => {
    const x = tensor([...lead, K * d], sideBySide(X));
    const attributes = { mode: text('split'), num_blocks: int(K) };
    const { out } = await run({ op: 'Expand', feeds: { x }, attributes, outputs: { out: 4 } });
    expectClose(out, [K, ...lead, d], X.flat());
  });

  it('Expand replicates', async () => {
    const attributes = { mode: text('replicate'), num_blocks: int(K) };
    const { out } = await run({ op: 'Expand', feeds: { x: narrow }, attributes, outputs: { out: 4 } });
    expectClose(
      out,
      [K, ...lead, d],
      blocks.flatMap(() => y),
    );
  });

  it('Collapse concatenates', async () => {
    const attributes = { mode: text('concatenate') };
    const { out } = await run({ op: 'Collapse', feeds: { X: wide }, attributes, outputs: { out: 3 } });
    expectClose(out, [...lead, K * d], sideBySide(X));
  });

  it('Collapse sums', async () => {
    const { out } = await run({
      op: 'Collapse',
      feeds: { X: wide },
      attributes: { mode: text('sum') },
      outputs: { out: 3 },
    });
    const sums = y.map((_, n) => X.reduce((sum, block) => sum + block[n]!, 0));
    expectClose(out, [...lead, d], sums);
  });

  it.each(blocks)('Select gives block %i', async (active) => {
    const { out } = await run({
      op: 'Select',
      feeds: { X: wide },
      attributes: { active: int(active) },
      outputs: { out: 3 },
    });
    expectClose(out, [...lead, d], X[active]!);
  });

  it('Predict mixes the blocks', async () => {
    const { out } = await run({ op: 'Predict', feeds: { X: wide }, weights: { P }, outputs: { out: 4 } });
    expectClose(out, [K, ...lead, d], predict(X, P).flat());
  });

  it.each(blocks)('Correct with block %i active', async (active) => {
    const attributes = { active: int(active) };
    const feeds = { X: wide, y: narrow };
    const { out } = await run({ op: 'Correct', feeds, weights: { gains }, attributes, outputs: { out: 4 } });
    expectClose(out, [K, ...lead, d], correct(X, y, gains, active).flat());
  });

  const steps = blocks.flatMap((active) =>
    blocks.flatMap((next) => (['corrected', 'predicted'] as const).map((reads) => ({ active, next, reads }))),
  );
  it.each(steps)(
    'CorrectPredict, active $active, next reads block $next as $reads',
    async ({ active, next, reads }) => {
      const { predicted, read } = await run({
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
    const { predicted, read } = await run({
      op: 'CorrectPredict',
      feeds: { X: tensor([K, d], X1.flat()), y: tensor([d], y1) },
      weights: { gains, P },
      attributes: { active: int(0), next: int(K - 1), reads: text('corrected') },
      outputs: { predicted: 2, read: 1 },
    });
    const corrected = correct(X1, y1, gains, 0);
    expectClose(predicted, [K, d], predict(corrected, P).flat());
    expectClose(read, [d], corrected[K - 1]!);
  });

  it('takes no tokens at all', async () => {
    const feeds = { X: tensor([K, 2, 0, d], []), y: tensor([2, 0, d], []) };
    const attributes = { active: int(0), next: int(0), reads: text('corrected') };
    const outputs = { predicted: 4, read: 3 };
    const { predicted, read } = await run({
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
    const collapsed = await run({
      op: 'Collapse',
      feeds: { X: feeds.X },
      attributes: { mode: text('concatenate') },
      outputs: { out: 3 },
    });
    expect(collapsed.out?.dims).toEqual([2, 0, K * d]);
  });
});
