import { describe, expect, it, onTestFinished } from 'vitest';
import { writeRandomGemma3n } from '../../scripts/random-gemma3n/write-checkpoint.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { openSession } from '../../src/runtime/open-session.ts';
import type { Session } from '../../src/runtime/session.ts';
import { greedy } from '../../src/sampling/sampling-request.ts';
import { longGemma3n } from '../support/long-gemma3n.ts';
import { processMemory } from '../support/process-usage.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const mebibyte = 2 ** 20;
const resident = () => processMemory(process.pid).anonymous / mebibyte;

describe.runIf(process.platform === 'linux')('memory of a slot', () => {
  let session: Session;
  const length = 8000;
  const prompt = Array.from({ length }, (_, i) => 10 + ((i * i) % 1301));
  const sampling = () =>
    session.startSampling({
      parameters: greedy,
      promptTokens: prompt,
      endTokens: [],
      minTokens: 0,
      logprobs: null,
    });

  async function fill(slot: number) {
    for (let start = 0; start < length; start += 256)
      await session.prefill(slot, prompt.slice(start, start + 256), start, null);
  }

  /** The greedy tokens after a chunk that follows the first `past` tokens. */
  async function continued(slot: number, past: number) {
    const chooses = sampling();
    const { sampled } = await session.prefill(slot, [7, 8, 9], past, chooses);
    const tokens = [sampled!.token];
    for (let i = 0; i < 5; i++) {
      const row = { token: tokens.at(-1)!, past: past + 3 + i, sampling: chooses };
      const others = Array.from({ length: slot }, () => ({ token: 0, past: 0, sampling: null }));
      const results = await session.decode([...others, row]);
      tokens.push((results[slot] as { token: number }).token);
    }
    return tokens;
  }

  it.each([
    ['float32', false, 1],
    // 64 codes and a scale instead of 64 numbers.
    ['int8', true, 68 / 256],
  ])(
    'follows what is written, and what is given back: %s',
    async (_, int8Cache, share) => {
      const checkpoint = await temporaryFolder();
      await writeRandomGemma3n(checkpoint, longGemma3n);
      const { folder } = await ensureExport(checkpoint, 'fp32');
      const options = { folder, slots: 3, maxContext: 32_768, threads: 2, int8Cache };
      session = await openSession(options, { backend: 'native', executionProvider: 'cpu' });
      onTestFinished(() => session.close());
      // The first chunks bring ONNX Runtime's own buffers.
      await session.prefill(0, prompt.slice(0, 256), 0, null);
      await session.prefill(0, prompt.slice(0, 256), 7000, null);
      session.trimSlot(0, 0, 0);
      const empty = resident();
      await fill(2);
      const full = resident();
      expect(full - empty).toBeGreaterThan(36 * share);
      expect(full - empty).toBeLessThan(48 * share + 7);

      session.copySlot(2, 1, length);
      expect(resident() - full).toBeGreaterThan(36 * share);
      session.trimSlot(1, length, length - 256);
      // One layer keeps 8,000 positions, the four with a window 768.
      const trimmed = resident() - full;
      expect(trimmed).toBeGreaterThan(8 * share);
      expect(trimmed).toBeLessThan(16 * share + 4);

      // A copy of a trimmed slot takes no more than the slot.
      session.copySlot(1, 0, length);
      expect(resident() - full - trimmed).toBeLessThan(16 * share + 4);

      const whole = await continued(2, length);
      expect(await continued(1, length)).toEqual(whole);
      expect(await continued(0, length)).toEqual(whole);
      // The first position that reads nothing that is gone, and the last that does.
      const earlier = await continued(2, length - 257);
      expect(await continued(0, length - 257)).toEqual(earlier);
      await expect(session.prefill(1, [7, 8, 9], length - 258, null)).rejects.toThrow(
        /position 7742 reads keys that were given back; it must be 7743 or more/,
      );
      await expect(async () => session.trimSlot(0, 10, 11)).rejects.toThrow(/a cut at 11 of 10 positions/);

      for (const slot of [0, 1, 2]) session.trimSlot(slot, 0, 0);
      expect(resident() - empty).toBeLessThan(12);
      // A new prompt begins at position 0 again.
      await session.prefill(1, prompt.slice(0, 100), 0, null);
    },
    120_000,
  );
});
