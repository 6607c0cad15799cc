import { expect, it } from 'vitest';
import { altupDomain, altupOpset } from '../../src/export/altup/domain.ts';
import { altupFunctions } from '../../src/export/altup/functions.ts';
import { type Attributes, float, int } from '../../src/export/onnx/attributes.ts';
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

interface GroupedCase extends Case {
  kvHeads: number;
  /** −1: none. */
  window: number;
  softcap: number;
}

const groupedCases: GroupedCase[] = [
  { ...cases[0]!, kvHeads: 1, window: -1, softcap: 0 },
  { ...cases[1]!, kvHeads: 3, window: 40, softcap: 0 },
  { ...cases[2]!, kvHeads: 2, window: -1, softcap: 20 },
  // A head size that fills no vector.
  {
    heads: 4,
    headSize: 40,
    capacity: 300,
    sequence: 1,
    lengths: [300, 129, 128, 1],
    kvHeads: 2,
    window: 130,
    softcap: 0,
  },
  // Several tiles and blocks, on several threads.
  {
    heads: 8,
    headSize: 64,
    capacity: 700,
    sequence: 150,
    lengths: [650],
    kvHeads: 2,
    window: 200,
    softcap: 0,
  },
  {
    heads: 8,
    headSize: 64,
    capacity: 700,
    sequence: 150,
    lengths: [150],
    kvHeads: 1,
    window: -1,
    softcap: 0,
  },
];

function groupedFeeds(one: GroupedCase, element: FloatType): Feeds {
  const { bias: _, ...feeds } = selfFeeds(one, element);
  const { headSize, capacity, sequence, lengths, kvHeads } = one;
  const token = [lengths.length, sequence, kvHeads * headSize];
  const cache = [lengths.length, kvHeads, capacity, headSize];
  return {
    ...feeds,
    key: noise(element, token, 2),
    value: noise(element, token, 3),
    past_key: noise(element, cache, 4),
    past_value: noise(element, cache, 5),
    segments: int32([0, 3], []),
  };
}

const ungrouped = (one: Case): GroupedCase => ({ ...one, kvHeads: one.heads, window: 50, softcap: 0 });

const groupedAttributes = ({ kvHeads, window, softcap }: GroupedCase) => ({
  kv_num_heads: int(kvHeads),
  local_window_size: int(window),
  softcap: float(softcap),
});

const outputsOf = {
  SelfAttention: ['mixed', 'present_key', 'present_value'],
  GroupedQueryAttention: ['mixed', 'present_key', 'present_value'],
  CrossAttention: ['mixed'],
};

/** The cache's content after a row's length is undefined. */
function expectSameCaches(
  kernel: Record<string, Float32Array>,
  body: Record<string, Float32Array>,
  { headSize, capacity, lengths }: Case,
  heads: number,
): void {
  for (const part of ['present_key', 'present_value']) {
    for (let head = 0; head < lengths.length * heads; head += 1) {
      const start = head * capacity * headSize;
      const end = start + lengths[Math.floor(head / heads)]! * headSize;
      expect(kernel[part]!.subarray(start, end)).toEqual(body[part]!.subarray(start, end));
    }
  }
}

describeNative('attention of ai.altup', (native) => {
  /** Runs one node. @returns its outputs, except those that `aliases` writes over an input */
  async function run(
    op: keyof typeof outputsOf,
    feeds: Feeds,
    heads: number,
    { kernels = true, aliases = {} as Record<string, string>, attributes = {} as Attributes } = {},
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
      attributes: { num_heads: int(heads), scale: float(0.7), ...attributes },
      outputs,
    });
    const elementOf = (name: string) =>
      (name === 'mixed' ? feeds.query! : feeds[name.replace('present', 'past')]!).element as FloatType;
    for (const name of outputs) {
      const axes = name === 'mixed' ? 3 : 4;
      graph.output(
        name,
        elementOf(name),
        Array.from({ length: axes }, (_, axis) => `${name}.${axis}`),
      );
    }
    const folder = await temporaryFolder();
    await writeModel(folder, graph, {
      producerVersion: 'test',
      functions: altupFunctions(op === 'GroupedQueryAttention' ? 'gemma' : 'paper'),
      opsets: [altupOpset],
    });
    const { addon, library } = native as LoadedAddon;
    const session = new addon.NativeGraph(library);
    try {
      await session.load({ path: `${folder}/attention.onnx`, threads: 2, kernels });
      const wanted = outputs.filter((name) => !(name in aliases));
      session.bind(feeds, wanted, aliases);
      const found = await session.run();
      return Object.fromEntries(
        wanted.map((name) => [name, fromStorage(elementOf(name), found[name]!.data)]),
      );
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
    expectSameCaches(kernel, body, one, one.heads);
    const over = await run('SelfAttention', feeds, one.heads, inPlace);
    expect(over.mixed).toEqual(kernel.mixed);
  });

  it.each(groupedCases)('GroupedQueryAttention is GroupQueryAttention: %j', async (one) => {
    const feeds = groupedFeeds(one, 'float32');
    const attributes = groupedAttributes(one);
    const [kernel, body] = [
      await run('GroupedQueryAttention', feeds, one.heads, { attributes }),
      await run('GroupedQueryAttention', feeds, one.heads, { attributes, kernels: false }),
    ];
    expect(worstDifference(kernel.mixed!, body.mixed!)).toBeLessThan(3e-6);
    expectSameCaches(kernel, body, one, one.kvHeads);
    const over = await run('GroupedQueryAttention', feeds, one.heads, { ...inPlace, attributes });
    expect(over.mixed).toEqual(kernel.mixed);
  });

  it.each(groupedCases)('GroupedQueryAttention over float16 caches: %j', async (one) => {
    const half = groupedFeeds(one, 'float16');
    const feeds = { ...half, query: noise('float32', half.query!.dims, 1) };
    const attributes = groupedAttributes(one);
    const kernel = await run('GroupedQueryAttention', feeds, one.heads, { attributes });
    const body = await run('GroupedQueryAttention', feeds, one.heads, { attributes, kernels: false });
    expect(worstDifference(kernel.mixed!, body.mixed!)).toBeLessThan(2e-3);
    expectSameCaches(kernel, body, one, one.kvHeads);
    // The rounding of caches and queries is the only difference from float32.
    const wide = Object.entries(half).map(([name, tensor]): [string, NativeTensor] => {
      if (tensor.element !== 'float16') return [name, tensor];
      return [
        name,
        { ...tensor, element: 'float32', data: toStorage('float32', fromStorage('float16', tensor.data)) },
      ];
    });
    const float = await run('GroupedQueryAttention', Object.fromEntries(wide), one.heads, { attributes });
    expect(kernel.mixed).toEqual(float.mixed);
    const over = await run('GroupedQueryAttention', feeds, one.heads, { ...inPlace, attributes });
    expect(over.mixed).toEqual(kernel.mixed);
  });

  it('a token gets the same bits in every chunk, in a batch and alone', async () => {
    const { headSize, heads, kvHeads } = groupedCases[4]!;
    for (const window of [-1, 200]) {
      const whole: GroupedCase = { ...groupedCases[4]!, sequence: 400, lengths: [400], window };
      const attributes = groupedAttributes(whole);
      const feeds = groupedFeeds(whole, 'float32');
      const together = await run('GroupedQueryAttention', feeds, heads, { attributes });
      const caches = { past_key: together.present_key!, past_value: together.present_value! };
      const cacheDims = [1, kvHeads, whole.capacity, headSize];
      /** Tokens `from..to` behind the others, in row 1 of a batch of two rows if `batched`. */
      const chunk = async (from: number, to: number, batched: boolean) => {
        const rows = batched ? 2 : 1;
        const cut = (name: string): NativeTensor => {
          const width = name === 'query' ? heads * headSize : kvHeads * headSize;
          const own = fromStorage('float32', feeds[name]!.data).slice(from * width, to * width);
          const other = fromStorage('float32', noise('float32', [own.length], 8).data);
          const data = Float32Array.from(batched ? [...other, ...own] : own);
          return { element: 'float32', dims: [rows, to - from, width], data: toStorage('float32', data) };
        };
        const past = (name: 'past_key' | 'past_value'): NativeTensor => {
          const own = toStorage('float32', caches[name]);
          const data = batched ? Buffer.concat([noise('float32', cacheDims, 9).data, own]) : own;
          return { element: 'float32', dims: [rows, ...cacheDims.slice(1)], data: new Uint8Array(data) };
        };
        const found = await run(
          'GroupedQueryAttention',
          {
            ...Object.fromEntries(['query', 'key', 'value'].map((name) => [name, cut(name)])),
            past_key: past('past_key'),
            past_value: past('past_value'),
            seqlens_k: int32([rows], batched ? [to + 100, to - 1] : [to - 1]),
            total_sequence_length: int32([1], [batched ? to + 101 : to]),
            segments: int32([0, 3], []),
          },
          heads,
          { attributes },
        );
        return found.mixed!.slice(batched ? (to - from) * heads * headSize : 0);
      };
      const width = heads * headSize;
      for (const [from, to] of [
        [0, 1],
        [0, 7],
        [7, 130],
        [127, 129],
        [256, 400],
        [399, 400],
      ] as const) {
        const wanted = together.mixed!.slice(from * width, to * width);
        expect(await chunk(from, to, false), `${from} to ${to}`).toEqual(wanted);
        expect(await chunk(from, to, true), `${from} to ${to} in a batch`).toEqual(wanted);
      }
    }
  });

  /** Five slots, of which four get tokens. */
  const packed = {
    heads: 8,
    headSize: 40,
    kvHeads: 2,
    capacity: 400,
    segments: [
      [3, 130, 40],
      [4, 0, 7],
      [0, 5, 1],
      [1, 300, 1],
    ],
  };

  function packedFeeds(segments = packed.segments): Feeds {
    const { heads, headSize, kvHeads, capacity } = packed;
    const tokens = packed.segments.reduce((sum, [, , count]) => sum + count!, 0);
    const cache = [5, kvHeads, capacity, headSize];
    return {
      query: noise('float32', [1, tokens, heads * headSize], 1),
      key: noise('float32', [1, tokens, kvHeads * headSize], 2),
      value: noise('float32', [1, tokens, kvHeads * headSize], 3),
      past_key: noise('float32', cache, 4),
      past_value: noise('float32', cache, 5),
      seqlens_k: int32([1], [0]),
      total_sequence_length: int32([1], [1]),
      segments: int32([segments.length, 3], segments.flat()),
    };
  }

  /** Tokens `from..to` of query, key and value. */
  function someTokens(feeds: Feeds, from: number, to: number): Feeds {
    const cut = ['query', 'key', 'value'].map((name): [string, NativeTensor] => {
      const { element, dims, data } = feeds[name]!;
      const size = data.length / dims[1]!;
      return [name, { element, dims: [1, to - from, dims[2]!], data: data.slice(from * size, to * size) }];
    });
    return { ...feeds, ...Object.fromEntries(cut) };
  }

  it.each([-1, 50])(
    'packs tokens of several slots, each with the bits it gets alone (window %i)',
    async (window) => {
      const { heads, headSize, kvHeads, capacity } = packed;
      const attributes = groupedAttributes({ kvHeads, window, softcap: 0 } as GroupedCase);
      const feeds = packedFeeds();
      const together = await run('GroupedQueryAttention', feeds, heads, { attributes });
      const over = await run('GroupedQueryAttention', feeds, heads, { ...inPlace, attributes });
      expect(over.mixed).toEqual(together.mixed);
      const slotSize = kvHeads * capacity * headSize;
      let token = 0;
      for (const [slot, past, count] of packed.segments as [number, number, number][]) {
        const own = someTokens(feeds, token, token + count);
        for (const name of ['past_key', 'past_value']) {
          const { element, dims, data } = feeds[name]!;
          const size = data.length / dims[0]!;
          own[name] = {
            element,
            dims: [1, ...dims.slice(1)],
            data: data.slice(slot * size, (slot + 1) * size),
          };
        }
        own.seqlens_k = int32([1], [past + count - 1]);
        own.total_sequence_length = int32([1], [past + count]);
        own.segments = int32([0, 3], []);
        const alone = await run('GroupedQueryAttention', own, heads, { attributes });
        const width = heads * headSize;
        expect(together.mixed!.slice(token * width, (token + count) * width), `slot ${slot}`).toEqual(
          alone.mixed,
        );
        for (const name of ['present_key', 'present_value']) {
          expect(together[name]!.slice(slot * slotSize, (slot + 1) * slotSize), name).toEqual(alone[name]);
        }
        token += count;
      }
      // A slot without tokens keeps its past.
      const rest = fromStorage('float32', feeds.past_key!.data).slice(2 * slotSize, 3 * slotSize);
      expect(together.present_key!.slice(2 * slotSize, 3 * slotSize)).toEqual(rest);
    },
  );

  it('takes the last tokens of packed segments alone', async () => {
    const attributes = groupedAttributes({ kvHeads: packed.kvHeads, window: 50, softcap: 0 } as GroupedCase);
    const feeds = packedFeeds();
    const all = await run('GroupedQueryAttention', feeds, packed.heads, { attributes });
    for (const kept of [1, 2, 5, 9, 12, 48]) {
      const some: Feeds = {
        ...someTokens(feeds, 49 - kept, 49),
        past_key: { ...feeds.past_key!, data: toStorage('float32', all.present_key!) },
        past_value: { ...feeds.past_value!, data: toStorage('float32', all.present_value!) },
      };
      const found = await run('GroupedQueryAttention', some, packed.heads, { attributes });
      expect(found.mixed, `${kept} tokens`).toEqual(all.mixed!.slice((49 - kept) * 320));
      expect(found.present_key).toEqual(all.present_key);
    }
  });

  it.each<[string, number[][], string]>([
    ['a slot that is not there', [[5, 0, 49]], 'segments[0] is [5, 0, 49], not a slot of 5'],
    ['a place before the first', [[0, -1, 49]], 'segments[0] is [0, -1, 49], not a slot of 5'],
    [
      'no tokens',
      [
        [0, 0, 49],
        [1, 3, 0],
      ],
      'segments[1] is [1, 3, 0], not a slot of 5',
    ],
    ['what the capacity does not hold', [[0, 352, 49]], 'within a capacity of 400'],
    [
      'a slot twice',
      [
        [0, 0, 40],
        [0, 40, 9],
      ],
      'segments[1] has slot 0 again',
    ],
    ['fewer tokens than the query has', [[0, 0, 48]], 'segments have 48 tokens, the query has 49'],
  ])('GroupedQueryAttention refuses segments with %s', async (_, segments, says) => {
    const attributes = groupedAttributes({ kvHeads: packed.kvHeads, window: -1, softcap: 0 } as GroupedCase);
    const running = run('GroupedQueryAttention', packedFeeds(segments), packed.heads, { attributes });
    await expect(running).rejects.toThrow(says);
  });

  it.each([
    ['kv_num_heads', { kv_num_heads: int(2) }, 'attribute kv_num_heads is 2, which does not divide 3'],
    [
      'local_window_size',
      { local_window_size: int(0) },
      'attribute local_window_size is 0, not -1 or at least 1',
    ],
    ['softcap', { softcap: float(-1) }, 'attribute softcap is -1, not 0 or above'],
  ])('GroupedQueryAttention refuses its attribute %s', async (_, wrong, says) => {
    const one = groupedCases[1]!;
    const attributes = { ...groupedAttributes(one), ...wrong };
    const running = run('GroupedQueryAttention', groupedFeeds(one, 'float32'), one.heads, { attributes });
    await expect(running).rejects.toThrow(`ai.altup.GroupedQueryAttention: ${says}`);
  });

  it.each([
    ['key', [3, 1, 32], 'key [3, 1, 32] does not fit query [3, 1, 48]'],
    [
      'past_key',
      [3, 2, 70, 16],
      'past_key [3, 2, 70, 16] does not fit query [3, 1, 48]: [3, 3, 70, 16] wanted',
    ],
  ])('GroupedQueryAttention refuses %s %j', async (name, dims, says) => {
    const one = groupedCases[1]!;
    const feeds = { ...groupedFeeds(one, 'float32'), [name]: noise('float32', dims, 9) };
    const running = run('GroupedQueryAttention', feeds, one.heads, { attributes: groupedAttributes(one) });
    await expect(running).rejects.toThrow(`ai.altup.GroupedQueryAttention: ${says}`);
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
        ['GroupedQueryAttention', groupedFeeds(ungrouped(one), 'float16')],
      ] as const) {
        const options =
          op === 'GroupedQueryAttention' ? { attributes: groupedAttributes(ungrouped(one)) } : {};
        const half = await run(op, feeds, one.heads, options);
        const float = await run(op, wide(feeds), one.heads, options);
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
