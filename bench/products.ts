import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { altupDomain, altupOpset } from '../src/export/altup/domain.ts';
import { altupFunctions } from '../src/export/altup/functions.ts';
import { int } from '../src/export/onnx/attributes.ts';
import { GraphBuilder } from '../src/export/onnx/graph-builder.ts';
import { writeModel } from '../src/export/onnx/model-file.ts';
import type { LoadedAddon, NativeGraph } from '../src/runtime/native/native-addon.ts';
import { requireAddon } from './altup-graph.ts';
import { type BenchResult, median, spread } from './result.ts';

interface Matrix {
  bits: number;
  width: number;
  columns: number;
}

const matrices: Matrix[] = [4, 8].flatMap((bits) => [
  { bits, width: 640, columns: 2048 },
  { bits, width: 2048, columns: 8192 },
  { bits, width: 640, columns: 262_144 },
]);
const rowCounts = [1, 2, 4, 8, 16, 64, 256, 512];
const rounds = 7;
/** Bytes of codes that a run reads at least, so that they come from memory, not from a cache. */
const outsideCaches = 128 * 2 ** 20;

/** Products of the same rows with as many different matrices as the caches cannot hold, in one session. */
async function open(
  { addon, library }: LoadedAddon,
  { bits, width, columns }: Matrix,
  options: { threads: number; kernels: boolean },
): Promise<{ session: NativeGraph; outputs: string[] }> {
  const blocks = width / 32;
  const codes = [columns, blocks, 4 * bits];
  const count = Math.ceil(outsideCaches / (columns * blocks * 4 * bits));
  const graph = new GraphBuilder('products');
  graph.input('x', 'float32', ['rows', width]);
  const bytes = (name: string, dims: number[]) => {
    const data = Uint8Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => (i * 40_503) >>> 7);
    const chunks = [{ tensor: 0, bytes: data }];
    return graph.weight({ tensors: [{ name, type: 'uint8', dims }], chunks: () => chunks });
  };
  const outputs = Array.from({ length: count }, (_, i) => `product${i}`);
  for (const name of outputs) {
    const scales = new Uint8Array(new Float32Array(columns * blocks).fill(0.01).buffer);
    const chunks = [{ tensor: 0, bytes: scales }];
    const dims = [columns, blocks];
    const inputs = [
      'x',
      bytes(`${name}/codes`, codes),
      graph.weight({ tensors: [{ name: `${name}/scales`, type: 'float32', dims }], chunks: () => chunks }),
      bytes(`${name}/zeros`, [columns, Math.ceil((blocks * bits) / 8)]),
    ];
    const attributes = { N: int(columns), K: int(width), bits: int(bits) };
    graph.add('QuantizedMatMul', name, inputs, { domain: altupDomain, attributes, outputs: [name] });
    graph.output(name, 'float32', ['rows', columns]);
  }
  const folder = await mkdtemp(join(tmpdir(), 'altup-bench-'));
  try {
    const functions = altupFunctions();
    await writeModel(folder, graph, { producerVersion: 'bench', functions, opsets: [altupOpset] });
    const session = new addon.NativeGraph(library);
    await session.load({ path: join(folder, 'products.onnx'), ...options });
    return { session, outputs };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Compares the kernel of QuantizedMatMul with its body, ONNX Runtime's MatMulNBits: milliseconds of one product. With
 * `--instructions`, the kernel uses this instruction set; ONNX Runtime always uses its best.
 */
export async function run(): Promise<BenchResult> {
  const native = requireAddon();
  const at = process.argv.indexOf('--instructions');
  if (at >= 0) native.addon.forceInstructions(process.argv[at + 1] ?? '');
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  for (const matrix of matrices) {
    for (const threads of [1, 2]) {
      const sessions = [
        await open(native, matrix, { threads, kernels: false }),
        await open(native, matrix, { threads, kernels: true }),
      ];
      for (const count of rowCounts) {
        // Logits of more rows than a batch are not computed at once.
        if (matrix.columns > 100_000 && count > 16) continue;
        const values = Float32Array.from({ length: count * matrix.width }, (_, i) => Math.sin(i));
        const x = {
          element: 'float32' as const,
          dims: [count, matrix.width],
          data: new Uint8Array(values.buffer),
        };
        const times: number[][] = sessions.map(() => []);
        for (const { session, outputs } of sessions) session.bind({ x }, outputs);
        for (let round = -1; round < rounds; round += 1) {
          for (const [i, { session, outputs }] of sessions.entries()) {
            const [time = Number.NaN] = await session.time(1);
            if (round >= 0) times[i]!.push(time / outputs.length / 1e6);
          }
        }
        const [body = [], kernel = []] = times;
        const what = `${matrix.bits}-bit ${matrix.width}x${matrix.columns}, ${count} rows, ${threads} threads`;
        ratios[what] = median(body) / median(kernel);
        rows.push({
          what,
          'body ms': median(body),
          'body range': spread(body),
          'kernel ms': median(kernel),
          'kernel range': spread(kernel),
        });
      }
      for (const { session } of sessions) await session.close();
    }
  }
  return { name: 'products', rows, ratios };
}
