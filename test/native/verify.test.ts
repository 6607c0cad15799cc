import { expect, it, onTestFinished } from 'vitest';
import type { Precision } from '../../src/catalog/manifest.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import type { LoadedAddon } from '../../src/runtime/native/native-addon.ts';
import { NativeSession } from '../../src/runtime/native/native-session.ts';
import type { Choice, Sampling, Segment } from '../../src/runtime/session.ts';
import { copyShipped } from '../support/checkpoint-copy.ts';
import { cpuPrecisions } from '../support/cpu-precisions.ts';
import { samplingRequest } from '../support/sampling-request.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { describeNative } from './native-addon.ts';

const capacity = 64;
const prompts = [
  [12, 700, 31, 88, 1],
  [400, 401, 402, 403, 404, 405, 406, 407, 408, 1],
  [77, 1],
];
/** Positions of each slot that are filled before the rows below. */
const pasts = [1, 5, 3];

async function open({ addon, library }: LoadedAddon, model: string, precision: Precision) {
  const out = await temporaryFolder();
  const { folder, manifest } = await ensureExport(await copyShipped(model), precision, { out });
  const options = { folder, slots: 4, maxContext: capacity, threads: 2 };
  const session = await NativeSession.open(manifest, options, { addon, library });
  onTestFinished(() => session.close());
  return session;
}

async function begin(session: NativeSession): Promise<void> {
  for (const [slot, prompt] of prompts.entries()) {
    await session.encode(slot, prompt);
    const begun = Array.from({ length: pasts[slot]! }, (_, i) => (i === 0 ? 0 : 500 + 7 * i));
    await session.prefill(slot, begun, 0, null);
  }
}

const samplings = (session: NativeSession): Sampling[] =>
  [0, 1, 2].map((row) =>
    session.startSampling(
      samplingRequest({
        logprobs: 2,
        parameters: {
          temperature: row === 1 ? 0.9 : 0,
          seed: [row, 9],
          repetitionPenalty: row === 2 ? 1.4 : 1,
        },
      }),
    ),
  );
const tokenOf = (choice: Choice | null): number => (choice as { token: number }).token;

/** The choices of `steps` decode steps, by row. */
async function oneByOne(session: NativeSession, steps: number): Promise<Choice[][]> {
  await begin(session);
  const chosenBy = samplings(session);
  const chosen: Choice[][] = [[], [], []];
  for (let step = 0; step < steps; step++) {
    const choices = await session.decode(
      chosenBy.map((sampling, row) => {
        const token = step === 0 ? 300 + row : tokenOf(chosen[row]!.at(-1)!);
        return { token, past: pasts[row]! + step, sampling };
      }),
    );
    for (const [row, choice] of choices.entries()) chosen[row]!.push(choice!);
  }
  return chosen;
}

describeNative('rows with guesses in one run', (native) => {
  it.each(cpuPrecisions)('have the choices of one step after the other, in %s', async (precision) => {
    const session = await open(native, 'austen-t5-altup-k2', precision);
    const expected = await oneByOne(session, 5);
    await begin(session);
    // A right guess of four, one that is wrong from the third token on, and none.
    const right = expected.map((choices) => choices.map(tokenOf));
    const guesses = [right[0]!.slice(0, 4), [...right[1]!.slice(0, 2), 3, 4], []];
    const chosenBy = samplings(session);
    const segments = guesses.map((guess, slot): Segment => {
      const tokens = [300 + slot, ...guess];
      return { slot, tokens, past: pasts[slot]!, guessed: guess.length, sampling: chosenBy[slot]! };
    });
    const choices = await session.verify(segments);
    expect(choices).toEqual([expected[0], expected[1]!.slice(0, 3), expected[2]!.slice(0, 1)]);
    // The padding of the shorter rows has left nothing that is read.
    const next = await session.decode(
      choices.map((own, row) => {
        return { token: tokenOf(own.at(-1)!), past: pasts[row]! + own.length, sampling: chosenBy[row]! };
      }),
    );
    expect(next.slice(1)).toEqual([expected[1]![3], expected[2]![1]]);
  });

  it('are refused where they do not fit', async () => {
    const session = await open(native, 'austen-t5-dense', 'fp32');
    await begin(session);
    const segment = { slot: 0, tokens: [5], past: 1, guessed: 0, sampling: null };
    const other = { ...segment, slot: 1, past: 5, tokens: [5, 6, 7] };
    await expect(session.verify([other])).rejects.toThrow('segment 0 belongs to slot 1');
    await expect(session.verify([])).rejects.toThrow('0 tokens for segments of 0');
    await expect(session.verify([{ ...segment, past: capacity - 2 }, other])).rejects.toThrow(
      `3 positions behind ${capacity - 2} of ${capacity}`,
    );
    expect(await session.verify([segment, other])).toEqual([[], []]);
  });

  it('can be chosen for with a fork, which leaves the sampling as it is', async () => {
    const session = await open(native, 'austen-t5-dense', 'fp32');
    const expected = await oneByOne(session, 4);
    await begin(session);
    const chosenBy = samplings(session);
    for (const steps of [3, 1]) {
      const forks = chosenBy.map((sampling) => sampling.fork());
      let tokens = [300, 301, 302];
      for (let step = 0; step < steps; step++) {
        const rows = tokens.map((token, row) => ({ token, past: pasts[row]! + step, sampling: forks[row]! }));
        const choices = (await session.decode(rows)) as Choice[];
        tokens = choices.map(tokenOf);
        expect(tokens).toEqual(expected.map((choices) => tokenOf(choices[step]!)));
        expect(choices).toMatchObject(tokens.map(() => ({ logprobs: null })));
      }
    }
  });
});
