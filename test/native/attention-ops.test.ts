import { expect, it } from 'vitest';
import { altupDomain, altupOpset } from '../../src/export/altup/domain.ts';
import { altupFunctions } from '../../src/export/altup/functions.ts';
import { float, int } from '../../src/export/onnx/attributes.ts';
import { GraphBuilder } from '../../src/export/onnx/graph-builder.ts';
import { writeModel } from '../../src/export/onnx/model-file.ts';
import type { LoadedAddon, NativeTensor } from '../../src/runtime/native/native-addon.ts';
import { type FloatType, fromStorage, toStorage } from '../support/float-storage.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { worstDifference } from '../support/worst-difference.ts';
import { describeNative } from './native-addon.ts';

interface Case {
  heads: number;
  headSize: number;
  capacity: number;
  /** New tokens per row. */
  sequence: number;
  /** Length of each row including the new tokens; the number of encoder positions for cross-attention. */
  lengths: number[];
}

type Feeds = Record<string, NativeTensor>;

const cases: Case[] = [
  { heads: 2, headSize: 8, capacity: 5, sequence: 1, lengths: [1] },
  { heads: 3, headSize: 16, capacity: 70, sequence: 1, lengths: [70, 3, 65] },
  { heads: 4, headSize: 24, capacity: 200, sequence: 7, lengths: [150] },
  // Large enough for several threads.
  { heads: 12, headSize: 64, capacity: 256, sequence: 1, lengths: [129, 256, 1, 64, 200, 17] },
];

const int32 = (dims: number[], values: number[]): NativeTensor => ({
  element: 'int32',
  dims,
  data: new Uint8Array(Int32Array.from(values).buffer),
});

/** The same pseudo-random numbers on each call, converted to `element`. */
function noise(element: FloatType, dims: number[], seed: number): NativeTensor {
  const random = seededRandom(seed);
  const numbers = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 2 * random.next() - 1);
  return { element, dims, data: toStorage(element, numbers) };
}

function selfFeeds(one: Case, element: FloatType): Feeds {
  const { heads, headSize, capacity, sequence, lengths } = one;
  const rows = lengths.length;
  const total = Math.max(...lengths);
  const token = [rows, sequence, heads * headSize];
  const cache = [rows, heads, capacity, headSize];
  return {
    query: noise(element, token, 1),
    key: noise(element, token, 2),
    value: noise(element, token, 3),
    past_key: noise(element, cache, 4),
    past_value: noise(element, cache, 5),
    seqlens_k: int32(
      [rows],
      lengths.map((length) => length - 1),
    ),
    total_sequence_length: int32([1], [total]),
    bias: noise(element, [rows, heads, sequence, total], 6),
  };
}

function crossFeeds(one: Case, element: FloatType): Feeds {
  const { heads, headSize, capacity, sequence, lengths } = one;
  const rows = lengths.length;
  const cache = [rows, heads, capacity, headSize];
  const hidden = lengths.flatMap((length) =>
    Array.from({ length: sequence }, () =>
      Array.from({ length: capacity }, (_, key) => (key < length ? 0 : -6e4)),
    ).flat(),
  );
  return {
    query: noise(element, [rows, sequence, heads * headSize], 1),
    keys: noise(element, cache, 2),
    values: noise(element, cache, 3),
    lengths: int32([rows], lengths),
    padding: {
      element,
      dims: [rows, 1, sequence, capacity],
      data: toStorage(element, Float32Array.from(hidden)),
    },
  };
}

const outputsOf = {
  SelfAttention: ['mixed', 'present_key', 'present_value'],
  CrossAttention: ['mixed'],
};

describeNative('attention of ai.altup', (native) => {
  /** Runs one node. @returns its outputs, except those that `aliases` writes over an input */
  async function run(
    op: keyof typeof outputsOf,
    feeds: Feeds,
    heads: number,
    { kernels = true, aliases = {} as Record<string, string> } = {},
  ): Promise<Record<string, Float32Array>> {
    const graph = new GraphBuilder('attention');
    for (const [name, { element, dims }] of Object.entries(feeds)) {
      graph.input(
        name,
        element as FloatType | 'int32',
        dims.map((_, axis) => `${name}.${axis}`),
      );
    }
    const outputs = outputsOf[op];
    graph.add(op, 'node', Object.keys(feeds), {
      domain: altupDomain,
      attributes: { num_heads: int(heads), scale: float(0.7) },
      outputs,
    });
    const element = feeds.query!.element as FloatType;
    for (const name of outputs) {
      const axes = name === 'mixed' ? 3 : 4;
      graph.output(
        name,
        element,
        Array.from({ length: axes }, (_, axis) => `${name}.${axis}`),
      );
    }
    const folder = await temporaryFolder();
    await writeModel(folder, graph, {
      producerVersion: 'test',
      functions: altupFunctions(),
      opsets: [altupOpset],
    });
    const { addon, library } = native as LoadedAddon;
    const session = new addon.NativeGraph(library);
    try {
      await session.load({ path: `${folder}/attention.onnx`, threads: 2, kernels });
      const wanted = outputs.filter((name) => !(name in aliases));
      session.bind(feeds, wanted, aliases);
      const found = await session.run();
      return Object.fromEntries(wanted.map((name) => [name, fromStorage(element, found[name]!.data)]));
    } finally {
      await session.close();
    }
  }

  const inPlace = { aliases: { present_key: 'past_key', present_value: 'past_value' } };

  it.each(cases)('SelfAttention is GroupQueryAttention: $lengths of $capacity', async (one) => {
    const feeds = selfFeeds(one, 'float32');
    const [kernel, body] = [
      await run('SelfAttention', feeds, one.heads),
      await run('SelfAttention', feeds, one.heads, { kernels: false }),
    ];
    expect(worstDifference(kernel.mixed!, body.mixed!)).toBeLessThan(3e-6);
    // The cache's content after a row's length is undefined.
    const { heads, headSize, capacity, lengths } = one;
    for (const part of ['present_key', 'present_value']) {
      for (let head = 0; head < lengths.length * heads; head += 1) {
        const start = head * capacity * headSize;
        const end = start + lengths[Math.floor(head / heads)]! * headSize;
        expect(kernel[part]!.subarray(start, end)).toEqual(body[part]!.subarray(start, end));
      }
    }
    const over = await run('SelfAttention', feeds, one.heads, inPlace);
    expect(over.mixed).toEqual(kernel.mixed);
  });

  it.each(cases)('CrossAttention is MultiHeadAttention: $lengths of $capacity', async (one) => {
    const feeds = crossFeeds(one, 'float32');
    const [kernel, body] = [
      await run('CrossAttention', feeds, one.heads),
      await run('CrossAttention', feeds, one.heads, { kernels: false }),
    ];
    expect(worstDifference(kernel.mixed!, body.mixed!)).toBeLessThan(3e-6);
  });

  it('float16 differs from float32 by its rounding', async () => {
    for (const one of cases) {
      const wide = (feeds: Feeds): Feeds =>
        Object.fromEntries(
          Object.entries(feeds).map(([name, tensor]) => {
            if (tensor.element !== 'float16') return [name, tensor];
            const data = toStorage('float32', fromStorage('float16', tensor.data));
            return [name, { ...tensor, element: 'float32', data }];
          }),
        );
      for (const [op, feeds] of [
        ['SelfAttention', selfFeeds(one, 'float16')],
        ['CrossAttention', crossFeeds(one, 'float16')],
      ] as const) {
        const [half, float] = [await run(op, feeds, one.heads), await run(op, wide(feeds), one.heads)];
        expect(worstDifference(half.mixed!, float.mixed!), op).toBeLessThan(5e-4);
      }
    }
  });

  it('a row of a batch is what it is alone, bit for bit', async () => {
    const one = cases[3]!;
    const feeds = selfFeeds(one, 'float32');
    const together = (await run('SelfAttention', feeds, one.heads)).mixed!;
    const rows = one.lengths.length;
    const total = Math.max(...one.lengths);
    for (let row = 0; row < rows; row += 1) {
      const own = Object.entries(feeds).map(([name, tensor]): [string, NativeTensor] => {
        if (name === 'total_sequence_length') return [name, tensor];
        const size = tensor.data.length / rows;
        return [
          name,
          {
            ...tensor,
            dims: [1, ...tensor.dims.slice(1)],
            data: tensor.data.slice(row * size, (row + 1) * size),
          },
        ];
      });
      const alone = (await run('SelfAttention', Object.fromEntries(own), one.heads)).mixed!;
      expect(total).toBe(256);
      expect(together.subarray(row * alone.length, (row + 1) * alone.length)).toEqual(alone);
    }
  });

  const fit = cases[1]!;
  const wrong = (feeds: Feeds, name: string, dims: number[]): Feeds => ({
    ...feeds,
    [name]:
      feeds[name]!.element === 'int32'
        ? int32(dims, Array(dims.reduce((a, b) => a * b, 1)).fill(1))
        : noise('float32', dims, 9),
  });

  it.each([
    ['query', [3, 48], 'query [3, 48] is not [batch, sequence, 3 heads · head size]'],
    ['query', [3, 1, 49], 'query [3, 1, 49] does not split into 3 heads of 1 to 1024 numbers'],
    [
      'past_value',
      [3, 3, 60, 16],
      'past_value [3, 3, 60, 16] does not fit query [3, 1, 48]: [3, 3, 70, 16] wanted',
    ],
    ['key', [3, 2, 48], 'key [3, 2, 48] does not fit query [3, 1, 48]'],
    ['seqlens_k', [2], 'seqlens_k [2] does not fit query [3, 1, 48]: [3] wanted'],
    ['total_sequence_length', [2], 'total_sequence_length [2] is not [1]'],
    ['bias', [3, 3, 1, 71], 'bias [3, 3, 1, 71] does not fit query [3, 1, 48]: [3, 3, 1, 70] wanted'],
  ])('SelfAttention refuses %s %j', async (name, dims, says) => {
    const running = run('SelfAttention', wrong(selfFeeds(fit, 'float32'), name, dims), fit.heads);
    await expect(running).rejects.toThrow(`ai.altup.SelfAttention: ${says}`);
  });

  it.each([
    [[69, 70, 64], 'seqlens_k[1] is 70, not 0 to 69: 1 new tokens, a capacity of 70, a total of 70'],
    [[-1, 2, 64], 'seqlens_k[0] is -1, not 0 to 69: 1 new tokens, a capacity of 70, a total of 70'],
  ])('SelfAttention refuses lengths %j', async (lengths, says) => {
    const feeds = { ...selfFeeds(fit, 'float32'), seqlens_k: int32([3], lengths) };
    await expect(run('SelfAttention', feeds, fit.heads)).rejects.toThrow(`ai.altup.SelfAttention: ${says}`);
  });

  it.each([
    ['keys', wrong(crossFeeds(fit, 'float32'), 'keys', [3, 3, 70, 8]), 'keys [3, 3, 70, 8] does not fit'],
    [
      'lengths',
      wrong(crossFeeds(fit, 'float32'), 'lengths', [4]),
      'lengths [4] does not fit query [3, 1, 48]',
    ],
    [
      'a length',
      { ...crossFeeds(fit, 'float32'), lengths: int32([3], [1, 0, 71]) },
      'lengths[1] is 0, not 1 to 70',
    ],
  ])('CrossAttention refuses %s', async (_, feeds, says) => {
    await expect(run('CrossAttention', feeds, fit.heads)).rejects.toThrow(`ai.altup.CrossAttention: ${says}`);
  });

  it('refuses no heads', async () => {
    const running = run('CrossAttention', crossFeeds(fit, 'float32'), 0);
    await expect(running).rejects.toThrow('ai.altup.CrossAttention: attribute num_heads is 0, not 1 or more');
  });
});
