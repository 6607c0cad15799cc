import { afterEach, beforeEach, expect, it } from 'vitest';
import { altupDomain, altupOpset } from '../../src/export/altup/domain.ts';
import { altupFunctions } from '../../src/export/altup/functions.ts';
import { int } from '../../src/export/onnx/attributes.ts';
import { GraphBuilder } from '../../src/export/onnx/graph-builder.ts';
import { writeModel } from '../../src/export/onnx/model-file.ts';
import type { NativeTensor } from '../../src/runtime/native/native-addon.ts';
import { fromStorage, toStorage } from '../support/float-storage.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { worstDifference } from '../support/worst-difference.ts';
import { describeNative } from './native-addon.ts';

interface Product {
  bits: number;
  rows: number;
  /** Numbers of a row. */
  width: number;
  columns: number;
}

const cases: Product[] = [4, 8].flatMap((bits) => [
  { bits, rows: 1, width: 32, columns: 1 },
  { bits, rows: 3, width: 96, columns: 21 },
  { bits, rows: 16, width: 640, columns: 300 },
  { bits, rows: 17, width: 640, columns: 300 },
  { bits, rows: 70, width: 224, columns: 130 },
]);

interface Tensor {
  element: 'float32' | 'uint8';
  dims: number[];
  data: Uint8Array;
}

type Feeds = Record<'x' | 'codes' | 'scales' | 'zero_points', Tensor>;

const size = (dims: number[]) => dims.reduce((a, b) => a * b, 1);

function floats(dims: number[], seed: number): Tensor {
  const random = seededRandom(seed);
  const numbers = Float32Array.from({ length: size(dims) }, () => 2 * random.next() - 1);
  return { element: 'float32', dims, data: toStorage('float32', numbers) };
}

function bytes(dims: number[], seed: number): Tensor {
  const random = seededRandom(seed);
  return {
    element: 'uint8',
    dims,
    data: Uint8Array.from({ length: size(dims) }, () => 256 * random.next()),
  };
}

const bytesOf = (dims: number[]) => new Uint8Array(BigInt64Array.from(dims, BigInt).buffer);

function feedsOf({ bits, rows, width, columns }: Product): Feeds {
  const blocks = width / 32;
  return {
    x: floats([rows, width], 1),
    codes: bytes([columns, blocks, 4 * bits], 2),
    scales: floats([columns, blocks], 3),
    zero_points: bytes([columns, Math.ceil((blocks * bits) / 8)], 4),
  };
}

describeNative('QuantizedMatMul', ({ addon, library }) => {
  interface Options {
    kernels?: boolean;
    /** As in a model. */
    isConstant?: boolean;
  }

  async function run(
    { bits, width, columns }: Product,
    feeds: Feeds,
    { kernels = true, isConstant = true }: Options = {},
  ) {
    const graph = new GraphBuilder('product');
    const inputs: Record<string, NativeTensor> = { x: { ...feeds.x, element: 'float32' } };
    for (const [name, { element, dims, data }] of Object.entries(feeds)) {
      if (name === 'x') {
        graph.input(name, 'float32', ['rows', ...dims.slice(1)]);
        continue;
      }
      const stored = isConstant ? name : `${name} before`;
      const chunks = [{ tensor: 0, bytes: data }];
      graph.weight({ tensors: [{ name: stored, type: element, dims }], chunks: () => chunks });
      if (isConstant) continue;
      const shape = graph.input(`${name} dims`, 'int64', [dims.length]);
      graph.add('Reshape', name, [stored, shape], { outputs: [name] });
      inputs[shape] = { element: 'int64', dims: [dims.length], data: bytesOf(dims) };
    }
    const attributes = { N: int(columns), K: int(width), bits: int(bits) };
    const outputs = ['product'];
    graph.add('QuantizedMatMul', 'product', Object.keys(feeds), { domain: altupDomain, attributes, outputs });
    graph.output('product', 'float32', ['rows', columns]);
    const folder = await temporaryFolder();
    await writeModel(folder, graph, {
      producerVersion: 'test',
      functions: altupFunctions(),
      opsets: [altupOpset],
    });
    const session = new addon.NativeGraph(library);
    try {
      await session.load({ path: `${folder}/product.onnx`, threads: 2, kernels });
      session.bind(inputs, outputs);
      return fromStorage('float32', (await session.run()).product!.data);
    } finally {
      await session.close();
    }
  }

  const instructions = addon.instructions();
  // Also where sessions compute the body by themselves.
  beforeEach(() => addon.forceInstructions(instructions.at(-1)!));
  afterEach(() => addon.forceInstructions());

  it.each(cases)('is MatMulNBits: %j', async (one) => {
    const feeds = feedsOf(one);
    const [kernel, body] = [await run(one, feeds), await run(one, feeds, { kernels: false })];
    const largest = body.reduce((most, number) => Math.max(most, Math.abs(number)), 0);
    expect(worstDifference(kernel, body)).toBeLessThan(2e-6 * largest);
  });

  it.each(cases)('all instruction sets give the same bits: %j', async (one) => {
    const feeds = feedsOf(one);
    const results = [];
    for (const name of instructions) {
      addon.forceInstructions(name);
      results.push(await run(one, feeds));
    }
    for (const result of results) expect(result).toEqual(results[0]);
  });

  it('refuses instruction sets that this processor lacks', () => {
    expect(() => addon.forceInstructions('mmx')).toThrow(
      `this CPU has no instruction set "mmx", only ${instructions.join(', ')}`,
    );
  });

  it.each([4, 8])('a matrix may be computed, in %i bits', async (bits) => {
    const one: Product = { bits, rows: 5, width: 96, columns: 21 };
    const feeds = feedsOf(one);
    expect(await run(one, feeds, { isConstant: false })).toEqual(await run(one, feeds));
  });

  it('the body always rounds x to 8 bits: int8 has no other kernel', () => {
    const body = altupFunctions().find(({ name }) => name === 'QuantizedMatMul')!.node[0]!;
    expect(body.attribute.find(({ name }) => name === 'accuracy_level')!.i).toBe(4n);
  });

  it.each([4, 8])('a row of many is what it is alone, bit for bit, in %i bits', async (bits) => {
    const many: Product = { bits, rows: 40, width: 160, columns: 90 };
    const feeds = feedsOf(many);
    const together = await run(many, feeds);
    for (const [first, rows] of [
      [0, 1],
      [39, 1],
      [5, 8],
      [20, 17],
    ] as const) {
      const data = feeds.x.data.slice(first * many.width * 4, (first + rows) * many.width * 4);
      const own = await run(many, { ...feeds, x: { ...feeds.x, dims: [rows, many.width], data } });
      expect(own).toEqual(together.slice(first * many.columns, (first + rows) * many.columns));
    }
  });

  const fit: Product = { bits: 4, rows: 3, width: 96, columns: 21 };

  it.each([
    ['x', floats([3, 64], 1), 'x [3, 64] is not [..., 96]'],
    ['codes', bytes([21, 3, 32], 2), 'codes [21, 3, 32] does not fit N 21, K 96: [21, 3, 16] wanted'],
    ['scales', floats([21, 2], 3), 'scales [21, 2] does not fit N 21, K 96: [21, 3] wanted'],
    ['zero_points', bytes([21, 3], 4), 'zero_points [21, 3] does not fit N 21, K 96: [21, 2] wanted'],
  ])('refuses a wrong shape of %s', async (name, tensor, says) => {
    const running = run(fit, { ...feedsOf(fit), [name]: tensor });
    await expect(running).rejects.toThrow(`ai.altup.QuantizedMatMul: ${says}`);
  });

  it.each([
    [{ ...fit, bits: 2 }, 'attribute bits is 2, not 4 or 8'],
    [{ ...fit, width: 100 }, 'attributes N and K are 21 and 100, not at least 1 and a multiple of 32'],
  ])('refuses attributes %j', async (wrong, says) => {
    const running = run(wrong, { ...feedsOf(fit), x: floats([3, wrong.width], 1) });
    await expect(running).rejects.toThrow(`ai.altup.QuantizedMatMul: ${says}`);
  });
});
