import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Precision } from '../../../src/catalog/manifest.ts';
import { CheckpointWeights } from '../../../src/export/checkpoint/checkpoint-weights.ts';
import { halfToFloat32 } from '../../../src/export/checkpoint/half-precision.ts';
import { WeightSource } from '../../../src/export/checkpoint/weight-source.ts';
import { embeddingTable } from '../../../src/export/layers/embedding.ts';
import { linear } from '../../../src/export/layers/linear.ts';
import { inFloat32, type ModelGraph, toCompute } from '../../../src/export/layers/model-graph.ts';
import { GraphBuilder } from '../../../src/export/onnx/graph-builder.ts';
import { cpuPrecisions } from '../../support/cpu-precisions.ts';
import { noise } from '../../support/noise.ts';
import { runGraph } from '../../support/run-graph.ts';
import { float32, writeSafetensors } from '../../support/safetensors-writer.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

/** A matrix [rows, columns] as a list of rows. */
type Matrix = Float32Array[];

function randomMatrix(rows: number, columns: number, seed: number): Matrix {
  const next = noise(seed);
  return Array.from({ length: rows }, () => Float32Array.from({ length: columns }, () => next() ** 3));
}

async function modelGraph(matrix: Matrix, precision: Precision): Promise<ModelGraph> {
  const folder = await temporaryFolder();
  const flat = matrix.flatMap((row) => [...row]);
  await writeSafetensors(join(folder, 'model.safetensors'), {
    w: float32([matrix.length, matrix[0]!.length], flat),
  });
  const checkpoint = await CheckpointWeights.open(folder);
  onTestFinished(() => checkpoint.close());
  return { graph: new GraphBuilder('layers'), weights: new WeightSource(checkpoint), precision };
}

/** The matrix that the graph's tensors store, decoded number by number from codes, scales and zero points. */
async function storedMatrix({ graph }: ModelGraph, rows: number, columns: number): Promise<Matrix> {
  const [weight] = graph.weights as [(typeof graph.weights)[number]];
  const bytes = weight.tensors.map(() => [] as number[]);
  for await (const chunk of weight.chunks()) bytes[chunk.tensor]!.push(...chunk.bytes);
  const [data, scaleBytes, zeros] = bytes as [number[], number[], number[]];
  const isTransposed = weight.tensors[0]!.dims[0] !== rows;
  const floats =
    weight.tensors[0]!.type === 'float16'
      ? halfToFloat32(new Uint16Array(Uint8Array.from(data).buffer))
      : new Float32Array(Uint8Array.from(data).buffer.slice(0, data.length - (data.length % 4)));
  const scales = scaleBytes && new Float32Array(Uint8Array.from(scaleBytes).buffer);
  const blocks = columns / 32;
  const bits = (8 * data.length) / (rows * columns);
  const packed = (from: number[], rowBytes: number, row: number, n: number) =>
    bits === 8 ? from[row * rowBytes + n]! : (from[row * rowBytes + (n >> 1)]! >> (n % 2 === 0 ? 0 : 4)) & 15;
  return Array.from({ length: rows }, (_, row) =>
    Float32Array.from({ length: columns }, (_, column) => {
      if (!scales) return floats[isTransposed ? column * rows + row : row * columns + column]!;
      const block = Math.floor(column / 32);
      const zero = packed(zeros, Math.ceil((blocks * bits) / 8), row, block);
      const code = packed(data, (columns * bits) / 8, row, column);
      return scales[row * blocks + block]! * (code - zero);
    }),
  );
}

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, n) => sum + value * b[n]!, 0);

/**
 * Maximum distance from x·w of an operator that rounds x to its precision. int8 and int4 round to 8 bits, block by
 * block (half a step of largest / 127 each); fp16 rounds x and the sums to float16.
 */
function tolerance(precision: Precision, x: Float32Array, w: Float32Array): number {
  const magnitude = x.reduce((sum, value, n) => sum + Math.abs(value * w[n]!), 0);
  if (precision === 'fp32') return magnitude * 1e-6;
  if (precision === 'fp16') return magnitude * 2 ** -9;
  let bound = magnitude * 1e-6;
  for (let start = 0; start < x.length; start += 32) {
    const largest = Math.max(...x.subarray(start, start + 32).map(Math.abs));
    const weights = w.subarray(start, start + 32).reduce((sum, value) => sum + Math.abs(value), 0);
    bound += (weights * largest) / 127 / 2;
  }
  return bound * 1.01;
}

const input = (rows: Matrix) =>
  new Tensor('float32', Float32Array.from(rows.flatMap((row) => [...row])), [rows.length, rows[0]!.length]);

// Odd and even numbers of blocks in a row: zero points of 4 bits come in pairs.
const shapes = [
  [5, 32],
  [48, 96],
  [64, 128],
] as const;

/** ONNX Runtime's CPU provider has no bfloat16 (test/export/bfloat16.test.ts). */
const cases = cpuPrecisions.flatMap((precision) => shapes.map((shape) => [precision, ...shape] as const));

describe.each(cases)('%s, weights [%i, %i]', (precision, rows, columns) => {
  const matrix = randomMatrix(rows, columns, rows + columns);

  it('linear: x · Wᵀ', async () => {
    const context = await modelGraph(matrix, precision);
    const x = context.graph.input('x', 'float32', ['n', columns]);
    context.graph.output('y', 'float32', ['n', rows]);
    inFloat32(context, 'y', (name) =>
      linear(context, '/linear', toCompute(context, x), 'w', [rows, columns], name),
    );
    const stored = await storedMatrix(context, rows, columns);
    // ONNX Runtime has different kernels for one row and for several.
    for (const count of [1, 4]) {
      const given = randomMatrix(count, columns, count);
      const { y } = await runGraph(context.graph, { x: input(given) });
      expect(y!.dims).toEqual([count, rows]);
      given.forEach((row, n) => {
        stored.forEach((weights, m) => {
          const error = Math.abs((y!.data[n * rows + m] as number) - dot(row, weights));
          expect(error).toBeLessThanOrEqual(tolerance(precision, row, weights));
        });
      });
    }
  });

  it('a table looked up, and the same bytes as output head', async () => {
    const context = await modelGraph(matrix, precision);
    const { graph } = context;
    const ids = graph.input('ids', 'int64', ['batch', 'sequence']);
    const x = graph.input('x', 'float32', ['n', columns]);
    graph.output('logits', 'float32', ['n', rows]);
    const table = embeddingTable(context, 'w', [rows, columns]);
    graph.output(table.lookUp('/look_up', ids), 'float32', ['batch', 'sequence', columns]);
    table.head('/head', toCompute(context, x), 'logits', 0.5);
    const stored = await storedMatrix(context, rows, columns);
    const wanted = [0, rows - 1, 1, 1, 3, 2];
    const given = randomMatrix(2, columns, 9);
    const outputs = await runGraph(graph, {
      ids: new Tensor('int64', BigInt64Array.from(wanted, BigInt), [2, 3]),
      x: input(given),
    });
    const found = Object.entries(outputs).find(([name]) => name.startsWith('/look_up'))![1];
    expect(found.dims).toEqual([2, 3, columns]);
    expect(found.data).toEqual(Float32Array.from(wanted.flatMap((id) => [...stored[id]!])));
    given.forEach((row, n) => {
      stored.forEach((weights, m) => {
        const error = Math.abs((outputs.logits!.data[n * rows + m] as number) - dot(row, weights) / 2);
        expect(error).toBeLessThanOrEqual(tolerance(precision, row, weights));
      });
    });
    // The graph stores the matrix only once.
    expect(graph.weights.filter(({ tensors }) => tensors[0]!.dims.length > 1)).toHaveLength(1);
  });

  it('stores what the checkpoint has as well as the precision can', async () => {
    const context = await modelGraph(matrix, precision);
    linear(context, '/linear', 'x', 'w', [rows, columns]);
    const stored = await storedMatrix(context, rows, columns);
    let [error, total] = [0, 0];
    stored.forEach((row, n) => {
      row.forEach((value, m) => {
        error += (value - matrix[n]![m]!) ** 2;
        total += matrix[n]![m]! ** 2;
      });
    });
    const limit = { fp32: 0, fp16: 3e-4, int8: 0.006, int4: 0.1 }[precision];
    expect(Math.sqrt(error / total)).toBeLessThanOrEqual(limit);
  });
});

describe('linear and tables', () => {
  it.each(['int8', 'int4'] as const)(
    '%s leaves rows that do not fill their blocks in float32',
    async (precision) => {
      const matrix = randomMatrix(4, 40, 1);
      const context = await modelGraph(matrix, precision);
      linear(context, '/linear', 'x', 'w', [4, 40]);
      expect(context.graph.nodes.map(({ opType }) => opType)).toEqual(['MatMul']);
      expect(await storedMatrix(context, 4, 40)).toEqual(matrix);
    },
  );

  it('fp16 refuses a weight beyond its range by name', async () => {
    const context = await modelGraph([Float32Array.of(1, 70_000)], 'fp16');
    linear(context, '/linear', 'x', 'w', [1, 2]);
    await expect(storedMatrix(context, 1, 2)).rejects.toThrow(
      /model\.safetensors: w holds 70000, which fp16 cannot/,
    );
  });

  it('int4 refuses what is not finite by name', async () => {
    const context = await modelGraph([new Float32Array(32).fill(Number.NaN)], 'int4');
    linear(context, '/linear', 'x', 'w', [1, 32]);
    await expect(storedMatrix(context, 1, 32)).rejects.toThrow(
      /model\.safetensors: w holds NaN \(number 0\); every weight must be finite/,
    );
  });
});
