import { expect, it, onTestFinished } from 'vitest';
import type { Precision } from '../../src/catalog/manifest.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { NativeSession } from '../../src/runtime/native/native-session.ts';
import type { SampledToken } from '../../src/sampling/sampled-token.ts';
import { copyCheckpoint, copyShipped } from '../support/checkpoint-copy.ts';
import { samplingRequest } from '../support/sampling-request.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { describeNative } from './native-addon.ts';

const length = 300;
const prompt = Array.from({ length }, (_, n) => 300 + ((n * 37) % 700));

describeNative('a cache in int8', (native) => {
  async function open(checkpoint: string, precision: Precision, int8Cache: boolean) {
    const { folder, manifest } = await ensureExport(checkpoint, precision, { out: await temporaryFolder() });
    const options = { folder, slots: 3, maxContext: 512, threads: 2, int8Cache };
    const session = await NativeSession.open(manifest, options, native);
    onTestFinished(() => session.close());
    return session;
  }

  /** Fills a slot in chunks and returns the log probabilities of its prompt. */
  async function fill(session: NativeSession, slot: number, chunk: number): Promise<number[]> {
    const logprobs: number[] = [];
    for (let at = 0; at < length; at += chunk) {
      const tokens = prompt.slice(at, at + chunk);
      const followers = prompt.slice(at + 1, at + 1 + tokens.length);
      const { scores } = await session.prefill(slot, tokens, at, null, { followers, alternatives: 0 });
      logprobs.push(...scores.map(({ logprob }) => logprob));
    }
    return logprobs;
  }

  /** Decodes the same token in every slot. */
  async function decoded(session: NativeSession, past: number, slots: number): Promise<SampledToken[]> {
    const rows = Array.from({ length: slots }, () => ({
      token: 301,
      past,
      sampling: session.startSampling(samplingRequest({ logprobs: 5 })),
    }));
    return (await session.decode(rows)) as SampledToken[];
  }

  it.each(['fp32', 'fp16', 'int8'] as const)('%s: a token is the same in every chunk', async (precision) => {
    const session = await open(await copyShipped('austen-gemma3'), precision, true);
    const whole = await fill(session, 0, length);
    for (const [slot, chunk] of [
      [1, 64],
      [2, 7],
    ] as const) {
      expect(await fill(session, slot, chunk)).toEqual(whole);
    }
    const [first, ...others] = await decoded(session, length, 3);
    expect(others).toEqual([first, first]);
  });

  it.each(['fp32', 'fp16', 'int8'] as const)(
    '%s: a copied beginning is as good as a computed one',
    async (precision) => {
      const session = await open(await copyShipped('austen-gemma3'), precision, true);
      await fill(session, 0, 50);
      session.copySlot(0, 1, 205);
      session.copySlot(1, 2, 205);
      const rest = prompt.slice(205);
      for (const slot of [1, 2]) await session.prefill(slot, rest, 205, null);
      const [first, ...others] = await decoded(session, length, 3);
      expect(others).toEqual([first, first]);
    },
  );

  it('costs little', async () => {
    const checkpoint = await copyShipped('austen-gemma3');
    const mean = (all: number[]) => all.reduce((sum, one) => sum + one, 0) / all.length;
    const [exact, rounded] = [await open(checkpoint, 'fp32', false), await open(checkpoint, 'fp32', true)];
    const [wanted, found] = [await fill(exact, 0, length), await fill(rounded, 0, length)];
    expect(found).not.toEqual(wanted);
    expect(Math.abs(mean(found) / mean(wanted) - 1)).toBeLessThan(0.005);
  });

  it('needs the kernel of a decoder-only model', async () => {
    await expect(open(await copyCheckpoint('altup-k2'), 'fp32', true)).rejects.toThrow(
      'only our attention on the CPU, of a decoder-only model, reads a cache in int8',
    );
  });
});
