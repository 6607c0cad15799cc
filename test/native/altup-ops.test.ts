import { expect, it, onTestFinished } from 'vitest';
import { altupDomain, altupOpset } from '../../src/export/altup/domain.ts';
import { altupFunctions } from '../../src/export/altup/functions.ts';
import { type Attributes, int, text } from '../../src/export/onnx/attributes.ts';
import { GraphBuilder } from '../../src/export/onnx/graph-builder.ts';
import { writeModel } from '../../src/export/onnx/model-file.ts';
import { weightOf } from '../../src/export/onnx/weight.ts';
import type { LoadedAddon, NativeTensor } from '../../src/runtime/native-addon.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { describeNative } from './native-addon.ts';

interface OpCase {
  op: string;
  inputs: Record<string, number[]>;
  outputs: Record<string, number[]>;
  attributes: Attributes;
}

function random(dims: number[], seed: number): Float32Array {
  const numbers = seededRandom(seed);
  return Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 2 * numbers.next() - 1);
}

function tensor(dims: number[], values: Float32Array): NativeTensor {
  return { element: 'float32', dims, data: new Uint8Array(values.buffer) };
}

/** One node; coefficients come as weights if `isFolded`, as inputs otherwise. `given` are the shapes really fed. */
async function runOp(
  { addon, library }: LoadedAddon,
  { op, inputs, outputs, attributes }: OpCase,
  options: { kernels: boolean; isFolded?: boolean; given?: Record<string, number[]> },
): Promise<Float32Array[]> {
  const graph = new GraphBuilder('op');
  const feeds: Record<string, NativeTensor> = {};
  Object.entries(inputs).forEach(([name, dims], index) => {
    const isCoefficient = name.endsWith('coefs');
    if (options.isFolded && isCoefficient) graph.weight(weightOf(name, dims, random(dims, index)));
    else {
      graph.input(
        name,
        'float32',
        isCoefficient ? dims.map((_, i) => `c${index}${i}`) : dims.map((_, i) => `d${index}${i}`),
      );
      const given = options.given?.[name] ?? dims;
      feeds[name] = tensor(given, random(given, index));
    }
  });
  const names = Object.keys(outputs);
  graph.add(op, 'node', Object.keys(inputs), { domain: altupDomain, outputs: names, attributes });
  for (const [name, dims] of Object.entries(outputs))
    graph.output(
      name,
      'float32',
      dims.map((_, i) => `${name}${i}`),
    );
  const folder = await temporaryFolder();
  await writeModel(folder, graph, {
    producerVersion: 'test',
    functions: altupFunctions(),
    opsets: [altupOpset],
  });
  const session = new addon.NativeGraph(library);
  await session.load({ path: `${folder}/op.onnx`, threads: 2, kernels: options.kernels });
  onTestFinished(() => session.close());
  session.bind(feeds, names);
  const results = await session.run();
  return names.map((name) => {
    const { data, dims } = results[name] as NativeTensor;
    expect(dims, name).toEqual(outputs[name]);
    return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  });
}

/** Every operator on [K, ...rows, d]. */
function casesOf(k: number, rows: number[], d: number): OpCase[] {
  const x = [k, ...rows, d];
  const y = [...rows, d];
  const last = k - 1;
  const correctPredict = (reads: string, active: number, next: number): OpCase => ({
    op: 'CorrectPredict',
    inputs: { predicted: x, computed: y, correction_coefs: [k], next_prediction_coefs: [k, k] },
    outputs: { next_predicted: x, next_read: y },
    attributes: { active: int(active), next: int(next), reads: text(reads) },
  });
  return [
    { op: 'Select', inputs: { blocks: x }, outputs: { block: y }, attributes: { active: int(last) } },
    {
      op: 'Predict',
      inputs: { blocks: x, prediction_coefs: [k, k] },
      outputs: { predicted: x },
      attributes: {},
    },
    {
      op: 'Correct',
      inputs: { predicted: x, computed: y, correction_coefs: [k] },
      outputs: { corrected: x },
      attributes: { active: int(last) },
    },
    correctPredict('corrected', 0, last),
    correctPredict('predicted', last, 0),
    {
      op: 'Expand',
      inputs: { x: [...rows, k * d] },
      outputs: { blocks: x },
      attributes: { mode: text('split'), num_blocks: int(k) },
    },
    {
      op: 'Expand',
      inputs: { x: y },
      outputs: { blocks: x },
      attributes: { mode: text('replicate'), num_blocks: int(k) },
    },
    {
      op: 'Collapse',
      inputs: { blocks: x },
      outputs: { x: [...rows, k * d] },
      attributes: { mode: text('concatenate') },
    },
    { op: 'Collapse', inputs: { blocks: x }, outputs: { x: y }, attributes: { mode: text('sum') } },
  ];
}

const shapes: [number, number[], number][] = [
  [1, [1, 1], 16],
  [2, [1, 1], 768],
  [2, [3, 5], 33],
  [4, [1, 7], 100],
  [5, [2, 2], 24],
  [4, [1, 70], 640],
];

describeNative('kernels of ai.altup and their function bodies agree', (native) => {
  it.each(shapes)('K=%i, rows %j, d=%i: every operator', async (k, rows, d) => {
    for (const op of casesOf(k, rows, d)) {
      const bodies = await runOp(native, op, { kernels: false });
      for (const isFolded of [false, true]) {
        const kernels = await runOp(native, op, { kernels: true, isFolded });
        bodies.forEach((expected, output) => {
          const worst = expected.reduce(
            (most, value, i) => Math.max(most, Math.abs(value - (kernels[output]?.[i] ?? Number.NaN))),
            0,
          );
          expect(worst, `${op.op}, output ${output}, folded ${isFolded}`).toBeLessThan(3e-6);
        });
      }
    }
  });

  it('names operator, input and both shapes when they do not fit', async () => {
    const [, predict, , fused] = casesOf(2, [3], 8) as [OpCase, OpCase, OpCase, OpCase];
    const failed = (op: OpCase, given: Record<string, number[]>) =>
      runOp(native, op, { kernels: true, given });
    await expect(failed(fused, { computed: [3, 4] })).rejects.toThrow(
      /ai\.altup\.CorrectPredict: computed \[3, 4\] is not one block of predicted \[2, 3, 8\]/,
    );
    await expect(failed(fused, { correction_coefs: [3] })).rejects.toThrow(
      /ai\.altup\.CorrectPredict: correction_coefs \[3\] does not fit predicted \[2, 3, 8\]: \[2\] wanted/,
    );
    await expect(failed(predict, { prediction_coefs: [2, 3] })).rejects.toThrow(
      /ai\.altup\.Predict: prediction_coefs \[2, 3\] does not fit blocks \[2, 3, 8\]/,
    );
    const bad = { ...fused, attributes: { ...fused.attributes, active: int(5) } };
    await expect(failed(bad, {})).rejects.toThrow(/attribute active is 5, but there are 2 blocks/);
    const unknown = { ...fused, attributes: { ...fused.attributes, reads: text('both') } };
    await expect(failed(unknown, {})).rejects.toThrow(
      /attribute reads is "both", not corrected or predicted/,
    );
  });
});
