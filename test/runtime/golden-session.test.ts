import type { Tensor } from 'onnxruntime-node';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { openSession } from '../../src/runtime/open-session.ts';
import type { Runtime, Session } from '../../src/runtime/session.ts';
import type { SampledToken, TokenLogprobs } from '../../src/sampling/sampled-token.ts';
import { describeNative } from '../native/native-addon.ts';
import { copyCheckpoint } from '../support/checkpoint-copy.ts';
import { gemmaVariants, goldenVariants, readGolden } from '../support/golden.ts';
import { samplingRequest } from '../support/sampling-request.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Results of training/golden.py and training/gemma_golden.py, computed in float64, as plain numbers. */
interface Golden {
  /** The encoder's prompts; empty for decoder-only models. */
  prompts: number[][];
  /** Decoder tokens of each row. */
  decoderTokens: number[][];
  logits(row: number, position: number): Float32Array;
}

const tolerance = 1e-4;

async function golden(variant: string): Promise<Golden> {
  const tensors = (await readGolden(variant)) as Record<string, Tensor>;
  const rows = (name: string) => {
    const { data, dims } = tensors[name] as Tensor;
    const width = dims[1] ?? 0;
    return Array.from({ length: dims[0] ?? 0 }, (_, row) =>
      Array.from(data.slice(row * width, (row + 1) * width) as Iterable<number | bigint>, Number),
    );
  };
  const lengths = tensors.encoder_lengths?.data as Int32Array | undefined;
  const { data, dims } = tensors.logits as Tensor;
  const [, positions = 0, vocab = 0] = dims;
  return {
    prompts: lengths ? rows('input_ids').map((ids, row) => ids.slice(0, lengths[row])) : [],
    decoderTokens: rows(lengths ? 'decoder_input_ids' : 'input_ids'),
    logits: (row, position) => {
      const start = (row * positions + position) * vocab;
      return (data as Float32Array).subarray(start, start + vocab);
    },
  };
}

async function sessionOf(variant: string, runtime: Runtime): Promise<Session> {
  const checkpoint = await copyCheckpoint(variant);
  const { folder } = await ensureExport(checkpoint, 'fp32', { out: await temporaryFolder() });
  const session = await openSession({ folder, slots: 4, maxContext: 512, threads: 1 }, runtime);
  expect(session.runtime).toEqual(runtime);
  onTestFinished(() => session.close());
  return session;
}

/** Maximum difference of log probabilities between `top`, which covers the whole vocabulary, and `logits`. */
function maxDifference({ top }: TokenLogprobs, logits: Float32Array): number {
  expect(top.length).toBe(logits.length);
  const logSum = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
  return top.reduce(
    (worst, { token, logprob }) =>
      Math.max(worst, Math.abs(logprob - ((logits[token] ?? Number.NaN) - logSum))),
    0,
  );
}

/** Log probabilities at all positions of `row`, computed in chunks of the given sizes on `slot`. */
async function prefillAll(
  session: Session,
  slot: number,
  tokens: number[],
  chunks: number[],
): Promise<TokenLogprobs[]> {
  const found: TokenLogprobs[] = [];
  let past = 0;
  for (const size of chunks) {
    const chunk = tokens.slice(past, past + size);
    const scoring = { followers: chunk, alternatives: session.vocabSize };
    const { scores } = await session.prefill(slot, chunk, past, null, scoring);
    found.push(...scores);
    past += chunk.length;
  }
  expect(found).toHaveLength(tokens.length);
  return found;
}

function testVariant(variant: string, runtime: Runtime): void {
  it('prefill in one shot, in chunks, and token by token', async () => {
    const session = await sessionOf(variant, runtime);
    const { prompts, decoderTokens, logits } = await golden(variant);
    for (const [row, tokens] of decoderTokens.entries()) {
      const ways = { shot: [tokens.length], chunks: [1, 7, 16, tokens.length], tokens: tokens.map(() => 1) };
      for (const [way, chunks] of Object.entries(ways)) {
        const slot = row;
        if (prompts[row]) await session.encode(slot, prompts[row]);
        const found = await prefillAll(session, slot, tokens, chunks);
        for (const [position, row_] of found.entries()) {
          expect(
            maxDifference(row_, logits(row, position)),
            `${way}, row ${row}, position ${position}`,
          ).toBeLessThan(tolerance);
        }
      }
    }
  });

  it('a ragged batch: rows that start at different times, and one that moves to another slot', async () => {
    const session = await sessionOf(variant, runtime);
    const { prompts, decoderTokens, logits } = await golden(variant);
    for (const [row, prompt] of prompts.entries()) await session.encode(row, prompt);
    // Rows 1 and 2 are ahead of row 0 by their prefilled tokens.
    const pasts = [0, 7, 13];
    for (const row of [1, 2])
      await session.prefill(row, decoderTokens[row]?.slice(0, pasts[row]) ?? [], 0, null);
    // The golden row in each slot. After 8 steps slot 0 ends, and the last slot's row moves into it.
    let rows = [0, 1, 2];
    for (let step = 0; step < 16; step += 1) {
      if (step === 8) {
        session.copySlot(2, 0, pasts[2] ?? 0);
        rows = [2, 1];
      }
      const found = await session.decode(
        rows.map((row) => {
          const past = pasts[row] ?? 0;
          const sampling = session.startSampling(samplingRequest({ logprobs: session.vocabSize }));
          return { token: decoderTokens[row]?.[past] ?? 0, past, sampling };
        }),
      );
      for (const [slot, row] of rows.entries()) {
        const { logprobs } = found[slot] as SampledToken;
        expect(
          maxDifference(logprobs!, logits(row, pasts[row] ?? 0)),
          `row ${row} at ${pasts[row]}`,
        ).toBeLessThan(tolerance);
        pasts[row] = (pasts[row] ?? 0) + 1;
      }
    }
    expect(pasts).toEqual([8, 23, 29]);
  });
}

const name = '%s equals the PyTorch reference';
describe('the portable session', () => {
  describe.each([...goldenVariants, ...gemmaVariants])(name, (variant) =>
    testVariant(variant, { backend: 'onnxruntime-node', executionProvider: 'cpu' }),
  );
});
describeNative('the native session', () => {
  describe.each([...goldenVariants, ...gemmaVariants])(name, (variant) =>
    testVariant(variant, { backend: 'native', executionProvider: 'cpu' }),
  );
});
