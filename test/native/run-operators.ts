import { altupDomain, altupOpset } from '../../src/export/altup/domain.ts';
import { altupFunctions } from '../../src/export/altup/functions.ts';
import { GraphBuilder } from '../../src/export/onnx/graph-builder.ts';
import { writeModel } from '../../src/export/onnx/model-file.ts';
import type { LoadedAddon, NativeTensor } from '../../src/runtime/native/native-addon.ts';
import { type FloatType, fromStorage, toStorage } from '../support/float-storage.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import type { OperatorCase } from './altup-operators.ts';

interface RunOptions {
  /** false: uses the function bodies. */
  kernels: boolean;
  /** Type to which inputs are rounded, and in which they are stored unless `isWide`. */
  storage: FloatType;
  /** Stores the rounded inputs as float32 and computes in float32. */
  isWide?: boolean;
  /** Coefficients are initializers instead of inputs. */
  isFolded?: boolean;
  /** Shapes of inputs that replace the cases' own. */
  given?: Record<string, number[]>;
  /** Element types of inputs that replace `storage`. */
  givenType?: Record<string, FloatType>;
}

/**
 * Runs nodes of one set in one graph, on the same random numbers in each call.
 * @returns the values of each output of each node
 */
export async function runOperators(
  { addon, library }: LoadedAddon,
  operators: readonly OperatorCase[],
  { kernels, storage, isWide = false, isFolded = false, given = {}, givenType = {} }: RunOptions,
): Promise<Float32Array[][]> {
  const type = isWide ? 'float32' : storage;
  const graph = new GraphBuilder('op');
  const feeds: Record<string, NativeTensor> = {};
  const outputs: Record<string, number[]>[] = operators.map((operator, node) => {
    const names = Object.entries(operator.inputs).map(([input, own], index) => {
      const name = `${node}.${input}`;
      const dims = given[input] ?? own;
      const element = givenType[input] ?? type;
      const data = toStorage(element, fromStorage(storage, toStorage(storage, random(dims, index))));
      if (isFolded && input.endsWith('coefs')) {
        const chunks = [{ tensor: 0, bytes: data }];
        graph.weight({ tensors: [{ name, type: element, dims }], chunks: () => chunks });
      } else {
        graph.input(name, element, openShape(name, dims));
        feeds[name] = { element, dims, data };
      }
      return name;
    });
    const own = Object.entries(operator.outputs).map(([name, dims]) => [`${node}.${name}`, dims] as const);
    const { op, attributes } = operator;
    graph.add(op, `${node}`, names, { domain: altupDomain, outputs: own.map(([name]) => name), attributes });
    for (const [name, dims] of own) graph.output(name, type, openShape(name, dims));
    return Object.fromEntries(own);
  });
  const results = await run(
    { addon, library },
    graph,
    operators[0]!.set,
    kernels,
    feeds,
    outputs.flatMap(Object.keys),
  );
  return outputs.map((own) =>
    Object.entries(own).map(([name, wanted]) => {
      const { data, dims } = results[name]!;
      if (String(dims) !== String(wanted)) throw new Error(`${name} is ${dims}, not ${wanted}`);
      return fromStorage(type, data);
    }),
  );
}

async function run(
  { addon, library }: LoadedAddon,
  graph: GraphBuilder,
  set: OperatorCase['set'],
  kernels: boolean,
  feeds: Record<string, NativeTensor>,
  outputs: string[],
): Promise<Record<string, NativeTensor>> {
  const folder = await temporaryFolder();
  const functions = altupFunctions(set);
  await writeModel(folder, graph, { producerVersion: 'test', functions, opsets: [altupOpset] });
  const session = new addon.NativeGraph(library);
  try {
    await session.load({ path: `${folder}/${graph.name}.onnx`, threads: 2, kernels });
    session.bind(feeds, outputs);
    return await session.run();
  } finally {
    await session.close();
  }
}

const openShape = (name: string, dims: number[]) => dims.map((_, axis) => `${name}.${axis}`);

function random(dims: number[], seed: number): Float32Array {
  const numbers = seededRandom(seed);
  return Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 2 * numbers.next() - 1);
}
