import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { writeRandomGemma3n } from '../../scripts/random-gemma3n/write-checkpoint.ts';
import { hasHalfCache } from '../../src/catalog/cache-bytes.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import type { LoadedAddon, NativeGraph, NativeTensor } from '../../src/runtime/native/native-addon.ts';
import { changeConfig } from '../support/checkpoint-copy.ts';
import { cpuPrecisions } from '../support/cpu-precisions.ts';
import { smallGemma3n } from '../support/small-gemma3n.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { describeNative } from './native-addon.ts';

type Tensors = Record<string, NativeTensor>;

const capacity = 300;
const parts = ['key', 'value'] as const;
const tokens = Array.from({ length: capacity }, (_, n) => 300 + ((n * 37) % 1100));

function tensor(element: 'int32' | 'int64', dims: number[], values: readonly number[]): NativeTensor {
  const numbers = element === 'int32' ? Int32Array.from(values) : BigInt64Array.from(values, BigInt);
  return { element, dims, data: new Uint8Array(numbers.buffer) };
}

/** A decoder whose last four layers share the caches of layers 4 and 5. */
class Decoder {
  readonly #graph: NativeGraph;
  readonly #cache: Manifest['cache'];
  readonly #type: 'float16' | 'float32';

  constructor(graph: NativeGraph, manifest: Manifest) {
    this.#graph = graph;
    this.#cache = manifest.cache;
    this.#type = hasHalfCache(manifest) ? 'float16' : 'float32';
  }

  /** Caches without a token. */
  empty(): Tensors {
    const tensors = this.#cache.flatMap(({ kvHeads, headSize }, layer) => {
      const dims = [1, kvHeads, capacity, headSize];
      const bytes = kvHeads * capacity * headSize * (this.#type === 'float16' ? 2 : 4);
      return parts.map((part) => [
        `past_key_values.${layer}.${part}`,
        { element: this.#type, dims, data: new Uint8Array(bytes) },
      ]);
    });
    return Object.fromEntries(tensors);
  }

  /** Runs rows of `sequence` new tokens behind `pasts`. @returns the logits, and the caches as the next run's input */
  async run(caches: Tensors, pasts: number[], sequence: number, logitPositions: number[]) {
    const positions = pasts.flatMap((past) => Array.from({ length: sequence }, (_, i) => past + i));
    const feeds = {
      ...caches,
      input_ids: tensor(
        'int64',
        [pasts.length, sequence],
        positions.map((position) => tokens[position]!),
      ),
      position_ids: tensor('int64', [pasts.length, sequence], positions),
      seqlens_k: tensor(
        'int32',
        [pasts.length],
        pasts.map((past) => past + sequence - 1),
      ),
      total_sequence_length: tensor('int32', [1], [Math.max(...pasts) + sequence]),
      segments: tensor('int32', [0, 3], []),
      logit_positions: tensor('int64', [logitPositions.length], logitPositions),
    };
    const present = Object.keys(caches).map((name) => name.replace('past_key_values', 'present'));
    this.#graph.bind(feeds, ['logits', ...present]);
    const { logits, ...made } = await this.#graph.run();
    const renamed = Object.entries(made).map(([name, value]) => [
      name.replace('present', 'past_key_values'),
      value,
    ]);
    return { logits: rowsOf(logits!), caches: Object.fromEntries(renamed) as Tensors };
  }
}

/** The bytes of each row, as text that a failing test can print. */
function rowsOf({ data, dims }: NativeTensor): string[] {
  const size = data.length / dims[0]!;
  return Array.from({ length: dims[0]! }, (_, row) =>
    Buffer.from(data.subarray(row * size, (row + 1) * size)).toString('base64'),
  );
}

function bytesOf(caches: Tensors): Record<string, string> {
  const texts = Object.entries(caches).map(([name, { data }]) => [
    name,
    Buffer.from(data).toString('base64'),
  ]);
  return Object.fromEntries(texts);
}

/** The same tensors for each of several rows. */
function repeated(caches: Tensors, count: number): Tensors {
  const copies = Object.entries(caches).map(([name, { element, dims, data }]) => [
    name,
    { element, dims: [count, ...dims.slice(1)], data: Buffer.concat(Array(count).fill(data)) },
  ]);
  return Object.fromEntries(copies);
}

async function open({ addon, library }: LoadedAddon, precision: Manifest['precision']): Promise<Decoder> {
  const checkpoint = await temporaryFolder();
  await writeRandomGemma3n(checkpoint, { ...smallGemma3n, num_hidden_layers: 10, num_kv_shared_layers: 4 });
  await changeConfig(checkpoint, { sliding_window: 48 });
  const { folder, manifest } = await ensureExport(checkpoint, precision);
  const graph = new addon.NativeGraph(library);
  onTestFinished(() => graph.close());
  await graph.load({ path: join(folder, manifest.graphs.decoder), threads: 2, kernels: true });
  return new Decoder(graph, manifest);
}

describeNative('layers that share caches', (native) => {
  it.each(cpuPrecisions)('%s: skip tokens without logits, and change no bit', async (precision) => {
    const decoder = await open(native, precision);
    const empty = decoder.empty();
    const { caches: begun } = await decoder.run(empty, [0], 37, []);
    for (const [past, count] of [
      [0, 1],
      [0, 2],
      [0, 8],
      [0, 100],
      [0, 256],
      [37, 1],
      [37, 100],
    ] as const) {
      const before = past === 0 ? empty : begun;
      const all = Array.from({ length: count }, (_, row) => row);
      const whole = await decoder.run(before, [past], count, all);
      for (const wanted of [[], [count - 1], all.slice(-3), [count >> 1], all.slice(0, -1)]) {
        const some = await decoder.run(before, [past], count, wanted);
        const name = `${count} tokens behind ${past}, logits of ${wanted}`;
        expect(some.logits, name).toEqual(wanted.map((row) => whole.logits[row]));
        expect(bytesOf(some.caches), name).toEqual(bytesOf(whole.caches));
      }
    }
  });

  it.each(cpuPrecisions)('%s: a ragged batch computes the bits of a prompt', async (precision) => {
    const decoder = await open(native, precision);
    const all = Array.from({ length: 100 }, (_, row) => row);
    const whole = await decoder.run(decoder.empty(), [0], 100, all);
    const pasts = [99, 10, 63];
    const batch = await decoder.run(repeated(whole.caches, 3), pasts, 1, [0, 1, 2]);
    expect(batch.logits).toEqual(pasts.map((past) => whole.logits[past]));
  });
});
