import { describe, expect, it, onTestFinished } from 'vitest';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { openSession } from '../../src/runtime/open-session.ts';
import type { Runtime, Session } from '../../src/runtime/session.ts';
import type { SampledToken } from '../../src/sampling/sampled-token.ts';
import { describeNative } from '../native/native-addon.ts';
import { copyCheckpoint } from '../support/checkpoint-copy.ts';
import { gemmaVariants, readGolden } from '../support/golden.ts';
import { samplingRequest } from '../support/sampling-request.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function open(variant: string, runtime: Runtime): Promise<Session> {
  const checkpoint = await copyCheckpoint(variant);
  const { folder } = await ensureExport(checkpoint, 'fp32', { out: await temporaryFolder() });
  const session = await openSession({ folder, slots: 3, maxContext: 512, threads: 1 }, runtime);
  onTestFinished(() => session.close());
  return session;
}

/** Prefills the prompt into each slot in chunks of different sizes, then decodes all slots as one batch. */
async function generate(session: Session, prompt: number[], count: number): Promise<number[][]> {
  const rows: number[][] = [];
  const samplings = [0, 1, 2].map(() => session.startSampling(samplingRequest()));
  for (const [slot, chunkSize] of [19, 8, 3].entries()) {
    for (let past = 0; past < prompt.length; past += chunkSize) {
      const { sampled } = await session.prefill(
        slot,
        prompt.slice(past, past + chunkSize),
        past,
        samplings[slot]!,
      );
      rows[slot] = [sampled!.token];
    }
  }
  for (let made = 1; made < count; made += 1) {
    const past = prompt.length + made - 1;
    const chosen = await session.decode(
      rows.map((row, slot) => ({ token: row.at(-1)!, past, sampling: samplings[slot]! })),
    );
    for (const [slot, row] of rows.entries()) row.push((chosen[slot] as SampledToken).token);
  }
  return rows;
}

function testVariant(variant: string, runtime: Runtime): void {
  it('picks the tokens that transformers picks, 256 of them', async () => {
    const { greedy_prompt: given, greedy_tokens: expected } = await readGolden(variant);
    const [prompt, tokens] = [given, expected].map((tensor) =>
      Array.from(tensor!.data as BigInt64Array, Number),
    );
    const rows = await generate(await open(variant, runtime), prompt!, tokens!.length);
    expect(tokens).toHaveLength(256);
    expect(rows).toEqual([tokens, tokens, tokens]);
  });
}

describe('the portable session', () => {
  describe.each(gemmaVariants)('%s', (variant) =>
    testVariant(variant, { backend: 'onnxruntime-node', executionProvider: 'cpu' }),
  );
});
describeNative('the native session', () => {
  describe.each(gemmaVariants)('%s', (variant) =>
    testVariant(variant, { backend: 'native', executionProvider: 'cpu' }),
  );
});
