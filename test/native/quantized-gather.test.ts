import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { altupDomain, altupOpset } from '../../src/export/altup/domain.ts';
import { altupFunctions } from '../../src/export/altup/functions.ts';
import { int } from '../../src/export/onnx/attributes.ts';
import { GraphBuilder } from '../../src/export/onnx/graph-builder.ts';
import { writeModel } from '../../src/export/onnx/model-file.ts';
import type { NativeTensor } from '../../src/runtime/native/native-addon.ts';
import { fromStorage, toStorage } from '../support/float-storage.ts';
import { largestMapping } from '../support/process-usage.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { describeNative } from './native-addon.ts';

/** A head only packs its matrix on such a processor. */
const packs = process.platform === 'linux' && readFileSync('/proc/cpuinfo', 'utf8').includes('avx512_vnni');

interface Table {
  bits: number;
  rows: number;
  blocks: number;
  seed: number;
}

interface Options {
  ids: readonly number[];
  kernels?: boolean;
  /** Whether a head reads the same bytes. */
  isTied?: boolean;
  scaleDims?: readonly number[];
}

describeNative('QuantizedGather', ({ addon, library }) => {
  /** Opens a graph with a table, and looks up `ids`. `whileOpen` gets the file of its weights. */
  async function lookUp(
    { bits, rows, blocks, seed }: Table,
    { ids, kernels = true, isTied = true, scaleDims = [rows, blocks] }: Options,
    whileOpen: (weights: string) => void = () => {},
  ): Promise<Float32Array> {
    const random = seededRandom(seed);
    const bytes = (count: number) => Uint8Array.from({ length: count }, () => random.below(256));
    const scales = Float32Array.from({ length: rows * blocks }, () => 2 * random.next() - 1);
    const zeroBytes = Math.ceil((blocks * bits) / 8);
    const graph = new GraphBuilder('table');
    const weight = (name: string, type: 'uint8' | 'float32', dims: readonly number[], data: Uint8Array) =>
      graph.weight({ tensors: [{ name, type, dims }], chunks: () => [{ tensor: 0, bytes: data }] });
    weight('codes', 'uint8', [rows, 4 * bits * blocks], bytes(rows * 4 * bits * blocks));
    weight('scales', 'float32', scaleDims, toStorage('float32', scales));
    weight('zeros', 'uint8', [rows, zeroBytes], bytes(rows * zeroBytes));
    graph.input('ids', 'int64', ['batch', 'sequence']);
    graph.input('x', 'float32', [1, 32 * blocks]);
    graph.add('QuantizedGather', 'look-up', ['codes', 'ids', 'scales', 'zeros'], {
      domain: altupDomain,
      attributes: { bits: int(bits) },
      outputs: ['found'],
    });
    graph.output('found', 'float32', ['batch', 'sequence', 32 * blocks]);
    if (isTied) {
      const dims = [rows, blocks, 4 * bits];
      const byBlock = graph.alias({ name: 'by block', type: 'uint8', dims, of: 'codes' });
      graph.add('QuantizedMatMul', 'head', ['x', byBlock, 'scales', 'zeros'], {
        domain: altupDomain,
        attributes: { N: int(rows), K: int(32 * blocks), bits: int(bits) },
        outputs: ['product'],
      });
      graph.output('product', 'float32', [1, rows]);
    }
    const folder = await temporaryFolder();
    await writeModel(folder, graph, {
      producerVersion: 'test',
      functions: altupFunctions(),
      opsets: [altupOpset],
    });
    const session = new addon.NativeGraph(library);
    try {
      await session.load({ path: `${folder}/table.onnx`, threads: 2, kernels });
      const data = new Uint8Array(BigInt64Array.from(ids, BigInt).buffer);
      const inputs: Record<string, NativeTensor> = {
        ids: { element: 'int64', dims: [1, ids.length], data },
        x: { element: 'float32', dims: [1, 32 * blocks], data: new Uint8Array(128 * blocks) },
      };
      session.bind(inputs, isTied ? ['found', 'product'] : ['found']);
      const found = fromStorage('float32', (await session.run()).found!.data);
      whileOpen(`${folder}/table.onnx.data`);
      return found;
    } finally {
      await session.close();
    }
  }

  it.each([4, 8])(
    'gives the bits of its body for every row, tied to a head or not, in %i bits',
    async (bits) => {
      const random = seededRandom(bits);
      for (let seed = 0; seed < 15; seed += 1) {
        const table = { bits, rows: 1 + random.below(70), blocks: 1 + random.below(20), seed };
        const ids = Array.from({ length: 2 * table.rows }, (_, n) => n - table.rows);
        const isTied = seed % 3 !== 0;
        const body = await lookUp(table, { ids, kernels: false, isTied });
        expect(await lookUp(table, { ids, isTied }), JSON.stringify(table)).toEqual(body);
      }
    },
  );

  it.each([4, 8])('takes as many rows as several threads share, in %i bits', async (bits) => {
    const table = { bits, rows: 3000, blocks: 20, seed: 1 };
    const ids = Array.from({ length: 700 }, (_, n) => (n * 37) % table.rows);
    expect(await lookUp(table, { ids })).toEqual(await lookUp(table, { ids, kernels: false }));
  });

  it.runIf(packs)('leaves the file of a tied table alone', async () => {
    const table = { bits: 8, rows: 6000, blocks: 20, seed: 2 };
    const ids = Array.from(Array(table.rows).keys());
    const residentOf = async (isTied: boolean) => {
      let resident = Number.NaN;
      await lookUp(table, { ids, isTied }, (weights) => {
        resident = largestMapping(process.pid, weights).resident;
      });
      return resident;
    };
    expect(await residentOf(false)).toBeGreaterThan(3_000_000);
    expect(await residentOf(true)).toBeLessThan(300_000);
  });

  it('takes no ids', async () => {
    expect(await lookUp({ bits: 8, rows: 5, blocks: 2, seed: 3 }, { ids: [] })).toHaveLength(0);
  });

  it.runIf(packs).each([[5], [-6]])('refuses the id %i of 5 rows', async (id) => {
    const running = lookUp({ bits: 4, rows: 5, blocks: 2, seed: 3 }, { ids: [0, id] });
    await expect(running).rejects.toThrow(`ai.altup.QuantizedGather: id ${id} is not one of 5 rows`);
  });

  it.runIf(packs)('refuses parts that do not fit', async () => {
    const options = { ids: [0], isTied: false, scaleDims: [2, 5] };
    const running = lookUp({ bits: 4, rows: 5, blocks: 2, seed: 3 }, options);
    await expect(running).rejects.toThrow(
      'ai.altup.QuantizedGather: scales [2, 5] does not fit codes: [5, 2] wanted',
    );
  });

  it.runIf(packs)('refuses other bits', async () => {
    const running = lookUp({ bits: 2, rows: 5, blocks: 4, seed: 3 }, { ids: [0], isTied: false });
    await expect(running).rejects.toThrow('ai.altup.QuantizedGather: attribute bits is 2, not 4 or 8');
  });
});
