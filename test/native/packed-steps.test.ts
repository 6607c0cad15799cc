import { expect, it, onTestFinished } from 'vitest';
import { writeRandomGemma3n } from '../../scripts/random-gemma3n/write-checkpoint.ts';
import type { Precision } from '../../src/catalog/manifest.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import type { LoadedAddon } from '../../src/runtime/native/native-addon.ts';
import { NativeSession } from '../../src/runtime/native/native-session.ts';
import type { Segment } from '../../src/runtime/session.ts';
import type { SampledToken } from '../../src/sampling/sampled-token.ts';
import { changeConfig, copyCheckpoint, copyShipped } from '../support/checkpoint-copy.ts';
import { cpuPrecisions } from '../support/cpu-precisions.ts';
import { samplingRequest } from '../support/sampling-request.ts';
import { smallGemma3n } from '../support/small-gemma3n.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { describeNative } from './native-addon.ts';

const slots = 5;
const tokensFrom = (first: number, count: number) =>
  Array.from({ length: count }, (_, n) => 300 + (((first + n) * 37) % 700));

/** Ten layers, of which the last four read the caches of others, with windows of 48 tokens. */
async function gemma3n(): Promise<string> {
  const checkpoint = await temporaryFolder();
  await writeRandomGemma3n(checkpoint, { ...smallGemma3n, num_hidden_layers: 10, num_kv_shared_layers: 4 });
  await changeConfig(checkpoint, { sliding_window: 48 });
  return checkpoint;
}

async function open(
  { addon, library }: LoadedAddon,
  checkpoint: string,
  { precision = 'fp32' as Precision, kernels = true, int8Cache = false } = {},
): Promise<NativeSession> {
  const { folder, manifest } = await ensureExport(checkpoint, precision, { out: await temporaryFolder() });
  const options = { folder, slots, maxContext: 512, threads: 2, int8Cache };
  const session = await NativeSession.open(manifest, options, { addon, library }, { kernels });
  onTestFinished(() => session.close());
  return session;
}

/** Fills slots 0, 1 and 2, which decode, and the beginning of a prompt in slot 4. */
async function begin(session: NativeSession): Promise<void> {
  for (const [slot, count] of [
    [0, 9],
    [1, 200],
    [2, 131],
    [4, 64],
  ] as const) {
    await session.prefill(slot, tokensFrom(slot, count), 0, null);
  }
}

const sampling = (session: NativeSession) => session.startSampling(samplingRequest({ logprobs: 5 }));

/** A step with a chunk that ends a prompt, a chunk that does not, and three rows that decode. */
const segments = (session: NativeSession): Segment[] => [
  { slot: 4, tokens: tokensFrom(64, 150), past: 64, guessed: 0, sampling: sampling(session) },
  { slot: 3, tokens: tokensFrom(7, 33), past: 0, guessed: 0, sampling: null },
  { slot: 0, tokens: [301], past: 9, guessed: 0, sampling: sampling(session) },
  { slot: 1, tokens: [302], past: 200, guessed: 0, sampling: sampling(session) },
  { slot: 2, tokens: [303], past: 131, guessed: 0, sampling: null },
];

describeNative('a packed step', (native) => {
  it.each([
    ...cpuPrecisions.map((precision) => ['Gemma 3n', precision, false, gemma3n] as const),
    ...cpuPrecisions.map(
      (precision) => ['Gemma 3', precision, false, () => copyShipped('austen-gemma3')] as const,
    ),
    ...cpuPrecisions.map((precision) => ['Gemma 3n', precision, true, gemma3n] as const),
    ['Gemma 3', 'int8', true, () => copyShipped('austen-gemma3')] as const,
  ])(
    '%s, precision %s, int8 cache %s: chooses what prefill and decode choose, and leaves the same cache',
    async (_, precision, int8Cache, made) => {
      const session = await open(native, await made(), { precision, int8Cache });
      expect(session.packs).toBe(true);

      await begin(session);
      const apart = [];
      for (const { slot, tokens, past, sampling } of segments(session).slice(0, 2)) {
        apart.push((await session.prefill(slot, tokens, past, sampling)).sampled);
      }
      const rows = segments(session).slice(2);
      apart.push(...(await session.decode(rows.map((row) => ({ ...row, token: row.tokens[0]! })))));
      const behindApart = await behind(session);

      await begin(session);
      const together = await session.pack(segments(session));
      expect(together).toEqual(apart.map((choice) => (choice === null ? [] : [choice])));
      expect(together.map(({ length }) => length)).toEqual([1, 0, 1, 1, 0]);
      expect(await behind(session)).toEqual(behindApart);
    },
  );

  /** The tokens that follow in each slot, with their log probabilities. */
  async function behind(session: NativeSession) {
    const filled = [10, 201, 132, 33, 214];
    return session.decode(
      filled.map((past, slot) => ({ token: 400 + slot, past, sampling: sampling(session) })),
    );
  }

  it.each([
    ['Gemma 3n', gemma3n],
    ['Gemma 3', () => copyShipped('austen-gemma3')],
  ])('%s: checks guesses of several sequences', async (_, made) => {
    const session = await open(native, await made());
    await begin(session);
    // What each sequence says one by one.
    const said: SampledToken[][] = [];
    const samplings = [0, 1, 2].map(() => sampling(session));
    let inputs = [301, 302, 303];
    for (let step = 0; step < 4; step++) {
      const pasts = [9 + step, 200 + step, 131 + step];
      const choices = await session.decode(
        inputs.map((token, slot) => ({ token, past: pasts[slot]!, sampling: samplings[slot]! })),
      );
      said.push(choices as SampledToken[]);
      inputs = (choices as SampledToken[]).map(({ token }) => token);
    }
    const [first, second, third] = said.map((step) => step.map(({ token }) => token)) as [
      number[],
      number[],
      number[],
    ];
    await begin(session);
    const guesses = [[first[0]!, second[0]!, third[0]!], [first[1]!, 0], []];
    const chosen = await session.pack(
      guesses.map((guess, slot) => ({
        slot,
        tokens: [301 + slot, ...guess],
        past: [9, 200, 131][slot]!,
        guessed: guess.length,
        sampling: sampling(session),
      })),
    );
    const wanted = [4, 2, 1].map((count, slot) => said.slice(0, count).map((step) => step[slot]));
    expect(chosen).toEqual(wanted);
  });

  it('needs the kernel of a decoder-only model', async () => {
    const t5 = await open(native, await copyCheckpoint('altup-k2'));
    expect(t5.packs).toBe(false);
    await expect(t5.pack([{ slot: 0, tokens: [3], past: 0, guessed: 0, sampling: null }])).rejects.toThrow(
      'this model does not pack',
    );
    const bodies = await open(native, await copyCheckpoint('gemma3n-k2'), { kernels: false });
    expect(bodies.packs).toBe(false);
  });

  it.each<[string, Partial<Segment>[], string]>([
    ['a slot that is not there', [{ slot: 5 }], 'slot 5 of 5'],
    ['no tokens', [{ tokens: [] }], '0 positions behind 0 of 512'],
    ['too many tokens', [{ past: 511, tokens: [3, 4] }], '2 positions behind 511 of 512'],
    ['a slot twice', [{}, { past: 1 }], 'segments[1] has slot 0 again'],
  ])('refuses %s', async (_, parts, says) => {
    const session = await open(native, await copyCheckpoint('gemma3n-k2'));
    const step = parts.map((part) => ({
      slot: 0,
      tokens: [3],
      past: 0,
      guessed: 0,
      sampling: null,
      ...part,
    }));
    await expect(session.pack(step)).rejects.toThrow(says);
  });

  it('refuses to read what a window has given back', async () => {
    const session = await open(native, await gemma3n());
    await session.prefill(0, tokensFrom(0, 200), 0, null);
    session.trimSlot(0, 200, 150);
    const row = { slot: 0, tokens: [3], guessed: 0, sampling: null };
    await expect(session.pack([{ ...row, past: 100 }])).rejects.toThrow('it must be 149 or more');
    await session.pack([{ ...row, past: 200 }]);
  });
});
