import { setTimeout } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { writeRandomGemma3n } from '../../scripts/random-gemma3n/write-checkpoint.ts';
import { longGemma3n } from '../support/long-gemma3n.ts';
import { processMemory } from '../support/process-usage.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const mebibyte = 2 ** 20;
const budget = 96 * mebibyte;

/** Token ids that begin like those of no other `kind`. */
const prompt = (kind: number, length: number) =>
  Array.from({ length }, (_, i) => 10 + ((i * i + 31 * kind) % 1301));

describe.runIf(process.platform === 'linux')('memory for keys and values', () => {
  it('follows use within its budget: 15 requests of 500 tokens next to one of 30,000', async () => {
    const checkpoint = await temporaryFolder();
    await writeRandomGemma3n(checkpoint, longGemma3n);
    const service = await ServiceProcess.start({
      ALTUP_MODELS: checkpoint,
      ALTUP_CACHE_MEMORY: `${budget / mebibyte}MiB`,
      ALTUP_REQUEST_TIMEOUT_MS: '900000',
      ALTUP_QUEUE_TIMEOUT_MS: '900000',
    });
    onTestFinished(async () => void (await service.stop()));
    const complete = async (tokens: readonly number[], max_tokens: number) => {
      const body = { prompt: tokens, max_tokens, temperature: 0, ignore_eos: true };
      const response = await service.post('/v1/completions', body);
      expect(response.status, await response.clone().text()).toBe(200);
      await response.text();
    };
    const anonymous = () => processMemory(service.pid).anonymous;
    // ONNX Runtime's own buffers for a batch and a chunk.
    await Promise.all(Array.from({ length: 15 }, (_, i) => complete(prompt(100 + i, 300), 4)));
    const before = anonymous() - (await service.metric('altup_kv_cache_bytes'));

    let isDone = false;
    let [peak, peakInUse] = [0, 0];
    const watch = (async () => {
      while (!isDone) {
        peak = Math.max(peak, anonymous());
        peakInUse = Math.max(peakInUse, await service.metric('altup_kv_cache_bytes'));
        await setTimeout(50);
      }
    })();
    const long = complete(prompt(0, 29_900), 100);
    const short = Array.from({ length: 15 }, (_, i) => complete(prompt(1 + i, 450), 50));
    await Promise.all([long, ...short]);
    isDone = true;
    await watch;

    expect(await service.metric('altup_kv_cache_budget_bytes')).toBe(budget);
    // The long sequence alone would take 146 MiB without windows, and 16 slots of 32,768 positions 2.5 GiB.
    expect(peakInUse).toBeGreaterThan(0.75 * budget);
    expect(peakInUse).toBeLessThanOrEqual(budget);
    // Besides the cache, the process keeps 30,000 tokens of a prompt and what V8 has not collected yet.
    expect(peak - before).toBeLessThan(budget + 80 * mebibyte);
    const kept = await service.metric('altup_kv_cache_bytes');
    expect(kept).toBeLessThanOrEqual(budget / 2);
    expect(anonymous() - before - kept).toBeLessThan(80 * mebibyte);
    expect(anonymous()).toBeLessThan(peak);
  }, 600_000);

  it('limits the length of a sequence, in words that name the setting', async () => {
    const checkpoint = await temporaryFolder();
    await writeRandomGemma3n(checkpoint, longGemma3n);
    const service = await ServiceProcess.start({ ALTUP_MODELS: checkpoint, ALTUP_CACHE_MEMORY: '16MiB' });
    onTestFinished(async () => void (await service.stop()));
    const { data } = (await (await fetch(`${service.url}/v1/models`)).json()) as {
      data: { max_model_len: number }[];
    };
    // 16,384 KiB, without 4 KiB for each of 512 + 2 · 256 positions, at 1 KiB a token.
    expect(data[0]!.max_model_len).toBe(16_384 - 4 * 1024);
    const response = await service.post('/v1/completions', { prompt: prompt(0, 12_000), max_tokens: 300 });
    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(
      /12000 tokens plus `max_tokens` of 300 exceed this model's limit of 12288 tokens, as many as ALTUP_CACHE_MEMORY has room for/,
    );
  }, 120_000);
});
