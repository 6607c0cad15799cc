import { describe, expect, it, onTestFinished } from 'vitest';
import type { Precision } from '../../src/catalog/manifest.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { meanState } from '../../src/runtime/mean-state.ts';
import { openSession } from '../../src/runtime/open-session.ts';
import type { Runtime, Session } from '../../src/runtime/session.ts';
import { describeNative } from '../native/native-addon.ts';
import { copyCheckpoint, copyShipped } from '../support/checkpoint-copy.ts';
import { encoderPositions, goldenVariants, readGolden } from '../support/golden.ts';
import { ragged } from '../support/greedy-generation.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { worstDifference } from '../support/worst-difference.ts';

const tolerance = 1e-5;

interface Golden {
  prompt: number[];
  /** The mean of the reference's final states. */
  mean: number[];
}

/** From results of training/golden.py and training/t5_golden.py, which were computed in float64. */
async function golden(variant: string): Promise<Golden[]> {
  const { input_ids, encoder_lengths, encoder_output } = await readGolden(variant);
  const lengths = Array.from(encoder_lengths!.data as Int32Array);
  const positions = await encoderPositions(variant, lengths);
  const [, columns, width] = encoder_output!.dims as [number, number, number];
  const states = encoder_output!.data as Float32Array;
  const ids = Array.from(input_ids!.data as BigInt64Array, Number);
  const columnsOfIds = input_ids!.dims[1]!;
  return lengths.map((length, row) => {
    const start = row * columns * width;
    const own = states.slice(start, start + positions[row]! * width);
    const mean = Array.from({ length: width }, (_, i) => {
      const column = own.filter((_number, at) => at % width === i);
      return column.reduce((sum, number) => sum + number, 0) / column.length;
    });
    return { prompt: ids.slice(row * columnsOfIds, row * columnsOfIds + length), mean };
  });
}

async function open(checkpoint: string, runtime: Runtime, precision: Precision = 'fp32'): Promise<Session> {
  const { folder } = await ensureExport(checkpoint, precision, { out: await temporaryFolder() });
  const session = await openSession({ folder, slots: 4, maxContext: 512, threads: 2 }, runtime);
  onTestFinished(() => session.close());
  return session;
}

function testRuntime(runtime: Runtime): void {
  it.each(goldenVariants)('%s: the mean of the reference’s states', async (variant) => {
    const session = await open(await copyCheckpoint(variant), runtime);
    for (const { prompt, mean } of await golden(variant)) {
      const embedding = await session.embed(prompt);
      expect(session.encoderWidth).toBe(mean.length);
      expect(embedding.buffer.byteLength).toBe(4 * mean.length);
      expect(worstDifference(embedding, mean)).toBeLessThan(tolerance);
    }
  });

  it.each([
    ['fp16', 1e-4],
    ['int8', 0.02],
    ['int4', 0.2],
  ] as const)('%s is close to fp32', async (precision, most) => {
    const checkpoint = await copyShipped('austen-t5-altup-k2');
    const [exact, rounded] = [await open(checkpoint, runtime), await open(checkpoint, runtime, precision)];
    const prompt = Array.from({ length: 30 }, (_, i) => 50 + 13 * i);
    const difference = worstDifference(await rounded.embed(prompt), await exact.embed(prompt));
    expect(difference).toBeGreaterThan(0);
    expect(difference).toBeLessThan(most);
  });

  it('changes no slot', async () => {
    const session = await open(await copyCheckpoint('altup-k2'), runtime);
    const expected = await ragged(session, 1);
    const embed = session.embed.bind(session);
    const decode = session.decode.bind(session);
    session.decode = async (rows) => {
      await embed(Array.from({ length: 90 }, (_, i) => 3 + (i % 60)));
      return decode(rows);
    };
    expect(await ragged(session, 1)).toEqual(expected);
  });

  it('needs an encoder', async () => {
    const session = await open(await copyCheckpoint('gemma3n-k2'), runtime);
    expect(session.encoderWidth).toBe(0);
    await expect(session.embed([5])).rejects.toThrow('a decoder-only model has no encoder');
  });
}

describe('embeddings by the portable session', () => {
  testRuntime({ backend: 'onnxruntime-node', executionProvider: 'cpu' });
});
describeNative('embeddings by the native session', () => {
  testRuntime({ backend: 'native', executionProvider: 'cpu' });
});

describe('meanState', () => {
  it('is the mean of each column', () => {
    expect(meanState(Float32Array.of(1, 2, 3, 10, 20, 30), 3)).toEqual(Float32Array.of(5.5, 11, 16.5));
    expect(meanState(Float32Array.of(7, 8), 2)).toEqual(Float32Array.of(7, 8));
  });

  it('adds up many states without losing small ones', () => {
    const states = new Float32Array(2 ** 20).fill(1);
    states[0] = 2 ** 25;
    expect(meanState(states, 1)[0]).toBe(Math.fround((2 ** 25 + 2 ** 20 - 1) / 2 ** 20));
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %d', (number) => {
    expect(() => meanState(Float32Array.of(1, number, 3, 4), 2)).toThrow('not finite');
  });
});
