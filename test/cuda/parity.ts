import type { Manifest } from '../../src/catalog/manifest.ts';
import type { LoadedAddon } from '../../src/runtime/native/native-addon.ts';
import { NativeSession, type NativeSettings } from '../../src/runtime/native/native-session.ts';
import { alone, ragged } from '../support/greedy-generation.ts';
import { seededRandom } from '../support/seeded-random.ts';

export interface Exported {
  model: string;
  folder: string;
  manifest: Manifest;
}

/** Tokens with a smaller lead over the next likeliest may differ between devices, which round sums differently. */
const tie = 0.05;

async function open(
  native: LoadedAddon,
  { folder, manifest }: Exported,
  settings: NativeSettings,
): Promise<NativeSession> {
  return NativeSession.open(manifest, { folder, slots: 4, maxContext: 512, threads: 2 }, native, settings);
}

/** Opens two sessions of an export, compares them, and closes them. */
async function between<T>(
  native: LoadedAddon,
  exported: Exported,
  settings: readonly [NativeSettings, NativeSettings],
  compare: (first: NativeSession, second: NativeSession) => Promise<T>,
): Promise<T> {
  const [first, second] = [
    await open(native, exported, settings[0]),
    await open(native, exported, settings[1]),
  ];
  try {
    return await compare(first, second);
  } finally {
    await first.close();
    await second.close();
  }
}

/** Compares greedy tokens of an export on CUDA with those on the CPU. @returns what differs */
export const unlikeTheCpu = (native: LoadedAddon, exported: Exported): Promise<string[]> =>
  between(native, exported, [{}, { executionProvider: 'cuda' }], async (onCpu, onCuda) => {
    const random = seededRandom(1);
    const faults: string[] = [];
    for (const length of [1, 7, 40]) {
      const prompt = Array.from({ length }, () => 3 + random.below(onCpu.vocabSize - 3));
      const expected = await alone(onCpu, prompt, 40);
      const got = await alone(onCuda, prompt, 40);
      const apart = expected.findIndex(({ token }, i) => token !== got[i]?.token);
      const lead = expected[apart]?.margin ?? 0;
      if (lead >= tie) faults.push(`prompt of ${length}, token ${apart}: the lead is ${lead.toFixed(3)}`);
    }
    return faults;
  });

/** Compares tokens of a ragged batch with our kernels and with the function bodies. @returns what differs */
export const unlikeTheBodies = (native: LoadedAddon, exported: Exported): Promise<string[]> => {
  const cuda = { executionProvider: 'cuda' } as const;
  return between(native, exported, [cuda, { ...cuda, kernels: false }], async (kernels, bodies) => {
    const [own, expected] = [await ragged(kernels, 1), await ragged(bodies, 1)];
    return own.flatMap((tokens, row) => {
      const apart = tokens.findIndex((token, i) => token !== expected[row]![i]);
      return apart === -1 ? [] : [`row ${row} of a ragged batch differs from token ${apart} on`];
    });
  });
};
